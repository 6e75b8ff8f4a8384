#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace whit::pickle {

enum class Kind : std::uint8_t {
  kNone,
  kBool,
  kInteger,
  kFloat,
  kBytes,  // bytes, bytearray, and the str of Python 2
  kText,
  kList,
  kTuple,
  kSet,
  kDict,
  kGlobal,      // a name, "numpy ndarray"; nothing is imported
  kObject,      // what a call would have made; nothing is called
  kPersistent,  // a reference that the file's own format explains (PyTorch's storages)
};

// Number of a value in its document. Values may be shared, and may contain themselves.
using ValueId = std::uint32_t;

// A call as the pickle asked for it: callable(*arguments), then what was set on the result.
struct Object {
  ValueId callable = 0;   // kGlobal, or a functools.partial
  ValueId arguments = 0;  // kTuple
  std::optional<ValueId> state;
  std::vector<ValueId> items;    // appended
  std::vector<ValueId> entries;  // key, value, key, value, ...
};

// What a pickle holds, as data. Texts and bytes are views of the pickle's own bytes, which must
// outlive the document. Accessors throw base::Error (kInput) where a value is of another kind.
class Document {
 public:
  ValueId root() const { return root_; }
  std::size_t size() const { return values_.size(); }
  // Byte behind the pickle.
  std::size_t end() const { return end_; }
  const std::string& subject() const { return subject_; }

  Kind kind(ValueId id) const { return values_[id].kind; }
  bool boolean(ValueId id) const;
  std::int64_t integer(ValueId id) const;
  double real(ValueId id) const;
  std::string_view bytes(ValueId id) const;
  std::string_view text(ValueId id) const;
  std::string_view global(ValueId id) const;
  // Elements of a list, tuple or set.
  std::span<const ValueId> items(ValueId id) const;
  // key, value, key, value, ... of a dict.
  std::span<const ValueId> entries(ValueId id) const;
  const Object& object(ValueId id) const;
  ValueId persistent(ValueId id) const;

  // The value of a text key of a dict.
  std::optional<ValueId> find(ValueId dict, std::string_view key) const;
  // Throws kInput: "WHAT is KIND; expected EXPECTED".
  [[noreturn]] void refuse(ValueId id, std::string_view what, std::string_view expected) const;

 private:
  friend class Machine;

  struct Value {
    Kind kind = Kind::kNone;
    std::uint32_t size = 0;     // of texts and bytes
    std::uint64_t payload = 0;  // integer, bits of a float, place in the bytes, or index below
  };

  const Value& of(ValueId id, Kind kind, std::string_view expected) const;
  std::string_view view(const Value& value) const {
    return bytes_.substr(value.payload, value.size);
  }

  std::string subject_;
  std::string_view bytes_;
  std::vector<Value> values_;
  std::vector<std::vector<ValueId>> lists_;
  std::vector<Object> objects_;
  std::vector<std::string> globals_;
  ValueId root_ = 0;
  std::size_t end_ = 0;
};

std::string_view name_of(Kind kind);  // "a list"

// What a caller lets a pickle name.
struct Policy {
  std::span<const std::string_view> globals;  // "numpy ndarray": module, a space, name
  bool persistent_ids = false;
};

// Reads a pickle of protocol 2 to 5. Nothing is imported, called or executed: names outside the
// policy are refused, those within become data. Bytes are checked before anything is allocated for
// them, so memory is bounded by a multiple of the pickle's size.
// Source: the opcodes as CPython's pickletools documents them; PEP 307, 3154, 574.
// Errors: kInput (broken, or a name that is not allowed: with the opcode and its byte),
// kUnsupported (protocol 0 and 1, buffers outside of the pickle, texts of 4 GiB and more).
Document read(std::string_view bytes, const Policy& policy, const std::string& subject);

}  // namespace whit::pickle
