#include "pickle/numpy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/checked.h"
#include "base/error.h"

namespace whit::pickle {

namespace {

using base::ErrorKind;
using base::fail;

constexpr std::array<std::string_view, 16> kGlobals{"_codecs encode",
                                                    "__builtin__ bytes",
                                                    "builtins bytes",
                                                    "__builtin__ bytearray",
                                                    "builtins bytearray",
                                                    "numpy dtype",
                                                    "numpy ndarray",
                                                    "numpy.core.multiarray _reconstruct",
                                                    "numpy._core.multiarray _reconstruct",
                                                    "numpy.core.multiarray scalar",
                                                    "numpy._core.multiarray scalar",
                                                    "numpy.core.numeric _frombuffer",
                                                    "numpy._core.numeric _frombuffer",
                                                    "numpy.core.multiarray ndarray",
                                                    "numpy.core.multiarray dtype",
                                                    "numpy._core.multiarray dtype"};

// The call that made a value: "" where it is none.
std::string_view call_of(const Document& document, ValueId id) {
  if (document.kind(id) != Kind::kObject) return {};
  const ValueId callable = document.object(id).callable;
  return document.kind(callable) == Kind::kGlobal ? document.global(callable) : std::string_view();
}

bool ends_with(std::string_view call, std::string_view name) {
  return call.starts_with("numpy") && call.ends_with(name);
}

std::span<const ValueId> arguments_of(const Document& document, ValueId id, std::size_t least) {
  const auto arguments = document.items(document.object(id).arguments);
  if (arguments.size() < least) {
    fail(ErrorKind::kInput, document.subject(), "a call of {} with {} arguments; expected {}",
         call_of(document, id), arguments.size(), least);
  }
  return arguments;
}

std::string_view text_or_bytes(const Document& document, ValueId id) {
  return document.kind(id) == Kind::kBytes ? document.bytes(id) : document.text(id);
}

// dtype('i8', False, True), state (3, '<', None, None, None, -1, -1, 0).
ArrayType read_type(const Document& document, ValueId id) {
  if (!ends_with(call_of(document, id), " dtype")) {
    document.refuse(id, "an array's type", "a numpy.dtype");
  }
  const std::string_view name = text_or_bytes(document, arguments_of(document, id, 1)[0]);
  ArrayType type;
  const char* end = name.data() + name.size();
  const bool named =
      !name.empty() && std::string_view("iufbOSUMmV").find(name[0]) != std::string_view::npos;
  if (!named || std::from_chars(name.data() + 1, end, type.size).ptr != end) {
    fail(ErrorKind::kUnsupported, document.subject(),
         "an array of type {:?}; expected numbers, "
         "texts or objects",
         name);
  }
  type.kind = name[0];
  if (type.kind == 'U') type.size *= 4;
  const auto state = document.object(id).state;
  if (!state) return type;
  const auto parts = document.items(*state);
  if (parts.size() < 5) document.refuse(*state, "the state of a dtype", "at least 5 values");
  type.big_endian = text_or_bytes(document, parts[1]) == ">";
  // Fields, or a sub-array.
  if (document.kind(parts[2]) != Kind::kNone || document.kind(parts[3]) != Kind::kNone) {
    fail(ErrorKind::kUnsupported, document.subject(),
         "an array of a structured type; expected a "
         "plain one");
  }
  return type;
}

std::vector<std::uint64_t> read_shape(const Document& document, ValueId id) {
  std::vector<std::uint64_t> shape;
  for (const ValueId item : document.items(id)) {
    const std::int64_t size = document.integer(item);
    if (size < 0) {
      fail(ErrorKind::kInput, document.subject(), "an array's dimension is {}; expected 0 or more",
           size);
    }
    shape.push_back(static_cast<std::uint64_t>(size));
  }
  return shape;
}

// Checks that the array holds as many elements as its shape says.
void check_size(const Document& document, const Array& array) {
  std::optional<std::uint64_t> count = 1;
  for (const std::uint64_t size : array.shape) {
    count = count ? base::checked_mul(*count, size) : count;
  }
  const bool objects = array.type.kind == 'O';
  const auto needed =
      count && !objects ? base::checked_mul<std::uint64_t>(*count, array.type.size) : count;
  const std::uint64_t found = objects ? array.objects.size() : array.bytes.size();
  if (!needed || *needed != found) {
    fail(ErrorKind::kInput, document.subject(), "an array of shape ({}) holds {} {}; expected {}",
         fmt::join(array.shape, ", "), found, objects ? "objects" : "bytes",
         needed ? fmt::format("{}", *needed) : "a smaller shape");
  }
}

// (version, shape, dtype, is_fortran, data); version is left out by old NumPy.
Array from_state(const Document& document, ValueId state) {
  auto parts = document.items(state);
  if (parts.size() == 5) parts = parts.subspan(1);
  if (parts.size() != 4) document.refuse(state, "the state of an ndarray", "4 or 5 values");
  Array array;
  array.shape = read_shape(document, parts[0]);
  array.type = read_type(document, parts[1]);
  array.fortran_order = document.kind(parts[2]) == Kind::kBool ? document.boolean(parts[2])
                                                               : document.integer(parts[2]) != 0;
  if (array.type.kind == 'O') {
    array.objects = document.items(parts[3]);
  } else {
    array.bytes = read_bytes(document, parts[3], array.decoded);
  }
  return array;
}

// _frombuffer(buffer, dtype, shape, order), of protocol 5.
Array from_buffer(const Document& document, std::span<const ValueId> arguments) {
  Array array;
  array.bytes = read_bytes(document, arguments[0], array.decoded);
  array.type = read_type(document, arguments[1]);
  array.shape = read_shape(document, arguments[2]);
  array.fortran_order = document.text(arguments[3]) == "F";
  if (array.type.kind == 'O') {
    fail(ErrorKind::kInput, document.subject(), "objects in a buffer; expected numbers");
  }
  return array;
}

template <typename T>
T load(std::string_view bytes, std::uint64_t index, bool big_endian) {
  std::array<char, sizeof(T)> raw{};
  std::memcpy(raw.data(), bytes.data() + index * sizeof(T), sizeof(T));
  if (big_endian) std::reverse(raw.begin(), raw.end());
  return std::bit_cast<T>(raw);
}

}  // namespace

std::span<const std::string_view> numpy_globals() {
  return kGlobals;
}

std::uint64_t Array::count() const {
  std::uint64_t count = 1;
  for (const std::uint64_t size : shape) count *= size;
  return count;
}

std::string_view read_bytes(const Document& document, ValueId id,
                            std::shared_ptr<const std::string>& decoded) {
  // bytes(X) and bytearray(X) of protocol 2; nested once at most.
  std::string_view call = call_of(document, id);
  if (call.starts_with("builtins ") || call.starts_with("__builtin__ ")) {
    const auto arguments = document.items(document.object(id).arguments);
    if (arguments.empty()) return {};
    id = arguments[0];
    call = call_of(document, id);
  }
  if (document.kind(id) == Kind::kBytes) return document.bytes(id);
  if (call != "_codecs encode") document.refuse(id, "the data of an array", "bytes");
  // Every byte as the character of its number, in UTF-8.
  const std::string_view text = document.text(arguments_of(document, id, 2)[0]);
  auto recoded = std::make_shared<std::string>();
  recoded->reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto first = static_cast<unsigned char>(text[i]);
    if (first < 0x80) {
      *recoded += text[i];
      continue;
    }
    const unsigned next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if ((first != 0xC2 && first != 0xC3) || (next & 0xC0) != 0x80) {
      fail(ErrorKind::kInput, document.subject(),
           "the data of an array hold a character above U+00FF; expected Latin-1");
    }
    *recoded += static_cast<char>((first & 0x03U) << 6 | (next & 0x3FU));
    ++i;
  }
  decoded = recoded;
  return *decoded;
}

bool is_array(const Document& document, ValueId id) {
  const std::string_view call = call_of(document, id);
  return ends_with(call, " _reconstruct") || ends_with(call, " _frombuffer");
}

Array read_array(const Document& document, ValueId id) {
  if (!is_array(document, id)) document.refuse(id, "a value", "a numpy.ndarray");
  Array array;
  if (ends_with(call_of(document, id), " _frombuffer")) {
    array = from_buffer(document, arguments_of(document, id, 4));
  } else {
    const auto state = document.object(id).state;
    if (!state) document.refuse(id, "an array without a state", "one with data");
    array = from_state(document, *state);
  }
  check_size(document, array);
  return array;
}

bool is_scalar(const Document& document, ValueId id) {
  return ends_with(call_of(document, id), " scalar");
}

Array read_scalar(const Document& document, ValueId id) {
  if (!is_scalar(document, id)) document.refuse(id, "a value", "a scalar of NumPy");
  const auto arguments = arguments_of(document, id, 2);
  Array array;
  array.type = read_type(document, arguments[0]);
  array.bytes = read_bytes(document, arguments[1], array.decoded);
  check_size(document, array);
  return array;
}

Number number_at(const Document& document, const Array& array, std::uint64_t index) {
  const auto [kind, size, big] = array.type;
  base::check(index < array.count(), "an index lies within its array");
  if (kind == 'b' && size == 1) return array.bytes[index] != 0;
  if (kind == 'f' && size == 8) return load<double>(array.bytes, index, big);
  if (kind == 'f' && size == 4) return double{load<float>(array.bytes, index, big)};
  if (kind == 'i') {
    if (size == 8) return load<std::int64_t>(array.bytes, index, big);
    if (size == 4) return std::int64_t{load<std::int32_t>(array.bytes, index, big)};
    if (size == 2) return std::int64_t{load<std::int16_t>(array.bytes, index, big)};
    if (size == 1) return std::int64_t{load<std::int8_t>(array.bytes, index, big)};
  }
  if (kind == 'u') {
    if (size == 8) return load<std::uint64_t>(array.bytes, index, big);
    if (size == 4) return std::uint64_t{load<std::uint32_t>(array.bytes, index, big)};
    if (size == 2) return std::uint64_t{load<std::uint16_t>(array.bytes, index, big)};
    if (size == 1) return std::uint64_t{load<std::uint8_t>(array.bytes, index, big)};
  }
  fail(ErrorKind::kUnsupported, document.subject(),
       "numbers of type {}{}; expected integers, "
       "floats of 4 or 8 bytes, or bools",
       kind, size);
}

}  // namespace whit::pickle
