#include "text/gguf_metadata.h"

#include <cstring>
#include <type_traits>

#include "base/error.h"

namespace whit::text {

namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr std::uint64_t kMaxKeys = 1 << 20;
constexpr std::uint64_t kMaxElements = 1 << 22;
constexpr int kMaxArrayDepth = 4;  // of arrays within arrays

enum ValueType : std::uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64
};

std::uint64_t size_of(std::uint32_t type) {
  switch (type) {
    case kUint8:
    case kInt8:
    case kBool:
      return 1;
    case kUint16:
    case kInt16:
      return 2;
    case kUint32:
    case kInt32:
    case kFloat32:
      return 4;
    case kUint64:
    case kInt64:
    case kFloat64:
      return 8;
    default:
      return 0;
  }
}

class Reader {
 public:
  Reader(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> detail, Args&&... args) const {
    throw base::Error(base::ErrorKind::kInput, key_.empty() ? file_ : file_ + ": " + key_,
                      fmt::format(detail, std::forward<Args>(args)...));
  }

  std::string_view take(std::uint64_t size) {
    if (size > bytes_.size() - at_) {
      fail("{} bytes at {} of {}; expected as many in the file", size, at_, bytes_.size());
    }
    const std::string_view taken = bytes_.substr(at_, size);
    at_ += size;
    return taken;
  }

  // Numbers are little-endian, as this machine's.
  template <typename T>
  T number() {
    T value{};
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }

  std::string_view string() { return take(number<std::uint64_t>()); }

  void skip(std::uint32_t type, int depth) {
    if (type == kString) {
      string();
    } else if (type == kArray) {
      if (depth == kMaxArrayDepth) fail("arrays nested {} deep; expected less", depth);
      const auto element = number<std::uint32_t>();
      const auto count = number<std::uint64_t>();
      if (const std::uint64_t size = size_of(element); size != 0) {
        if (count > bytes_.size() / size) fail("{} elements; expected as many in the file", count);
        take(count * size);
      } else {
        // A string or an array takes eight bytes at least, so the loop ends with the file.
        for (std::uint64_t i = 0; i < count; ++i) skip(element, depth + 1);
      }
    } else if (const std::uint64_t size = size_of(type); size != 0) {
      take(size);
    } else {
      fail("a value of type {}; expected one of GGUF's 0 to 12", type);
    }
  }

  std::uint64_t begin_array(std::uint32_t type, std::uint32_t element, std::uint64_t least_bytes) {
    if (type != kArray) fail("a value of type {}; expected an array", type);
    const auto found = number<std::uint32_t>();
    if (found != element) fail("elements of type {}; expected {}", found, element);
    const auto count = number<std::uint64_t>();
    if (count > kMaxElements || count > (bytes_.size() - at_) / least_bytes) {
      fail("{} elements; expected as many in the file, and at most {}", count, kMaxElements);
    }
    return count;
  }

  void strings(std::uint32_t type, std::vector<std::string>& out) {
    const std::uint64_t count = begin_array(type, kString, 8);
    out.clear();
    out.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) out.emplace_back(string());
  }

  template <typename T>
  void numbers(std::uint32_t type, std::uint32_t element, std::vector<T>& out) {
    out.resize(begin_array(type, element, sizeof(T)));
    for (T& value : out) value = number<T>();
  }

  void text(std::uint32_t type, std::string& out) {
    if (type != kString) fail("a value of type {}; expected a string", type);
    out = string();
  }

  void boolean(std::uint32_t type, std::optional<bool>& out) {
    if (type != kBool) fail("a value of type {}; expected true or false", type);
    const auto value = number<std::uint8_t>();
    if (value > 1) fail("{}; expected 0 or 1", value);
    out = value == 1;
  }

  void id(std::uint32_t type, std::optional<std::uint64_t>& out) {
    if (type == kUint32) {
      out = number<std::uint32_t>();
    } else if (type == kInt32) {
      const auto value = number<std::int32_t>();
      if (value >= 0) out = static_cast<std::uint64_t>(value);
    } else if (type == kUint64) {
      out = number<std::uint64_t>();
    } else {
      fail("a value of type {}; expected an id", type);
    }
  }

  void bytes(std::uint32_t type, std::string& out) {
    if (type != kArray) fail("a value of type {}; expected an array", type);
    const auto element = number<std::uint32_t>();
    if (size_of(element) != 1) fail("elements of type {}; expected bytes", element);
    out = take(number<std::uint64_t>());
  }

  void set_key(std::string_view key) { key_ = key; }

 private:
  std::string_view bytes_;
  const std::string& file_;
  std::string key_;
  std::uint64_t at_ = 0;
};

void read_value(Reader& reader, std::string_view key, std::uint32_t type, GgufVocabulary& out) {
  constexpr std::string_view kPrefix = "tokenizer.ggml.";
  const std::string_view name =
      key.substr(0, kPrefix.size()) == kPrefix ? key.substr(kPrefix.size()) : std::string_view();
  if (name == "model") return reader.text(type, out.model);
  if (name == "pre") return reader.text(type, out.pre);
  if (name == "tokens") return reader.strings(type, out.tokens);
  if (name == "merges") return reader.strings(type, out.merges);
  if (name == "scores") return reader.numbers(type, kFloat32, out.scores);
  if (name == "token_type") return reader.numbers(type, kInt32, out.types);
  if (name == "precompiled_charsmap") return reader.bytes(type, out.charsmap);
  if (name == "bos_token_id") return reader.id(type, out.bos);
  if (name == "eos_token_id") return reader.id(type, out.eos);
  if (name == "unknown_token_id") return reader.id(type, out.unknown);
  if (name == "add_bos_token") return reader.boolean(type, out.add_bos);
  if (name == "add_eos_token") return reader.boolean(type, out.add_eos);
  if (name == "add_space_prefix") return reader.boolean(type, out.add_space_prefix);
  if (name == "remove_extra_whitespaces") {
    return reader.boolean(type, out.remove_extra_whitespaces);
  }
  reader.skip(type, 0);
}

void check_counts(Reader& reader, const GgufVocabulary& found) {
  const auto check = [&](const char* name, std::size_t count) {
    reader.set_key(fmt::format("tokenizer.ggml.{}", name));
    if (count != 0 && count != found.tokens.size()) {
      reader.fail("{} for {} tokens; expected one for each", count, found.tokens.size());
    }
  };
  check("scores", found.scores.size());
  check("token_type", found.types.size());
  for (const auto& [name, id] :
       {std::pair("bos_token_id", found.bos), std::pair("eos_token_id", found.eos),
        std::pair("unknown_token_id", found.unknown)}) {
    reader.set_key(fmt::format("tokenizer.ggml.{}", name));
    if (id && *id >= found.tokens.size()) {
      reader.fail("{}; expected an id of the {} tokens", *id, found.tokens.size());
    }
  }
}

}  // namespace

bool looks_like_gguf(std::string_view contents) {
  return contents.substr(0, kMagic.size()) == kMagic;
}

GgufVocabulary read_gguf_vocabulary(std::string_view contents, const std::string& file) {
  Reader reader(contents, file);
  if (!looks_like_gguf(contents)) reader.fail("no GGUF; expected a file that begins so");
  reader.take(kMagic.size());
  const auto version = reader.number<std::uint32_t>();
  if (version != 2 && version != 3) {
    base::fail(base::ErrorKind::kUnsupported, file, "GGUF version {}; whit knows 2 and 3", version);
  }
  reader.number<std::uint64_t>();  // tensors
  const auto keys = reader.number<std::uint64_t>();
  if (keys > kMaxKeys) reader.fail("{} keys; expected at most {}", keys, kMaxKeys);
  GgufVocabulary found;
  for (std::uint64_t i = 0; i < keys; ++i) {
    reader.set_key({});
    const std::string_view key = reader.string();
    reader.set_key(key.substr(0, 100));
    read_value(reader, key, reader.number<std::uint32_t>(), found);
  }
  reader.set_key("tokenizer.ggml.model");
  if (found.model.empty()) reader.fail("missing; expected the vocabulary's kind");
  reader.set_key("tokenizer.ggml.tokens");
  if (found.tokens.empty()) reader.fail("no tokens; expected at least one");
  check_counts(reader, found);
  return found;
}

}  // namespace whit::text
