#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "data/pandas_frame.h"

namespace whit::data {

namespace {

using base::ErrorKind;
using base::fail;
using pickle::Document;
using pickle::Kind;
using pickle::ValueId;

constexpr int kMaxDepth = 32;
// Of one cell. Values of a pickle may be shared, so that few bytes stand for very many of them.
constexpr std::uint64_t kMaxValues = 1U << 24;

class Converter {
 public:
  explicit Converter(const Document& document) : document_(document) {}

  Json convert(ValueId id, int depth) {
    count(1);
    if (depth > kMaxDepth) {
      fail(ErrorKind::kInput, document_.subject(), "values nested deeper than {}; expected fewer",
           kMaxDepth);
    }
    switch (document_.kind(id)) {
      case Kind::kNone:
        return nullptr;
      case Kind::kBool:
        return document_.boolean(id);
      case Kind::kInteger:
        return document_.integer(id);
      case Kind::kFloat:
        return json_of(pickle::Number(document_.real(id)));
      case Kind::kText:
        return text(document_.text(id));
      case Kind::kList:
      case Kind::kTuple:
        return list(document_.items(id), depth);
      case Kind::kDict:
        return dict(id, depth);
      case Kind::kObject:
        return object(id, depth);
      case Kind::kGlobal:
        if (document_.global(id).ends_with(" NA")) return nullptr;
        [[fallthrough]];
      default:
        document_.refuse(id, "a cell", "text, numbers, lists or dicts");
    }
  }

 private:
  void count(std::uint64_t values) {
    values_ += values;
    if (values_ > kMaxValues) {
      fail(ErrorKind::kInput, document_.subject(), "a cell of more than {} values; expected fewer",
           kMaxValues);
    }
  }

  Json text(std::string_view text) {
    count(text.size() / 256);
    return std::string(text);
  }

  Json list(std::span<const ValueId> items, int depth) {
    Json array = Json::array();
    for (const ValueId item : items) array.push_back(convert(item, depth + 1));
    return array;
  }

  Json dict(ValueId id, int depth) {
    Json object = Json::object();
    const auto entries = document_.entries(id);
    for (std::size_t i = 0; i + 1 < entries.size(); i += 2) {
      if (document_.kind(entries[i]) != Kind::kText) {
        document_.refuse(entries[i], "a key of a dict", "a text");
      }
      object[std::string(document_.text(entries[i]))] = convert(entries[i + 1], depth + 1);
    }
    return object;
  }

  Json object(ValueId id, int depth) {
    if (pickle::is_scalar(document_, id)) {
      return json_of(pickle::number_at(document_, pickle::read_scalar(document_, id), 0));
    }
    if (!pickle::is_array(document_, id)) {
      document_.refuse(id, "a cell", "text, numbers, lists or dicts");
    }
    const pickle::Array array = pickle::read_array(document_, id);
    if (array.type.kind == 'O') return list(array.objects, depth);
    if (array.shape.size() > 1) {
      fail(ErrorKind::kUnsupported, document_.subject(),
           "a cell with an array of {} dimensions; expected one", array.shape.size());
    }
    count(array.count());
    Json values = Json::array();
    for (std::uint64_t i = 0; i < array.count(); ++i) {
      values.push_back(json_of(pickle::number_at(document_, array, i)));
    }
    return array.shape.empty() ? values.front() : values;
  }

  const Document& document_;
  std::uint64_t values_ = 0;
};

std::uint64_t load_offset(const ArrowTexts& texts, std::uint64_t index) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < texts.offset_bytes; ++i) {
    const auto byte = static_cast<unsigned char>(texts.offsets[index * texts.offset_bytes + i]);
    value |= std::uint64_t{byte} << (8 * i);
  }
  return value;
}

// py_buffer(bytes), or None.
std::string_view read_buffer(const Document& document, ValueId id, ArrowTexts& texts) {
  if (document.kind(id) == Kind::kNone) return {};
  if (call_of(document, id) != "pyarrow.lib py_buffer") {
    document.refuse(id, "a buffer of Arrow", "pyarrow.lib.py_buffer");
  }
  const auto arguments = document.items(document.object(id).arguments);
  if (arguments.size() != 1) document.refuse(id, "a buffer of Arrow", "one argument");
  std::shared_ptr<const std::string> decoded;
  const std::string_view bytes = pickle::read_bytes(document, arguments[0], decoded);
  if (decoded) texts.decoded.push_back(std::move(decoded));
  return bytes;
}

// (type, length, null count, offset, buffers, children, dictionary)
ArrowTexts read_arrow_array(const Document& document, ValueId id) {
  const auto outer = document.items(document.object(id).arguments);
  if (outer.size() != 1) document.refuse(id, "an array of Arrow", "one argument");
  const auto parts = document.items(outer[0]);
  if (parts.size() < 5) document.refuse(outer[0], "an array of Arrow", "its parts");
  std::string_view type;
  if (call_of(document, parts[0]) == "pyarrow.lib type_for_alias") {
    const auto arguments = document.items(document.object(parts[0]).arguments);
    if (!arguments.empty()) type = document.text(arguments[0]);
  }
  if (type != "string" && type != "large_string") {
    fail(ErrorKind::kUnsupported, document.subject(),
         "an array of Arrow of type {:?}; expected string or large_string", type);
  }
  const std::int64_t length = document.integer(parts[1]), offset = document.integer(parts[3]);
  const auto buffers = document.items(parts[4]);
  if (length < 0 || offset < 0 || buffers.size() != 3) {
    document.refuse(outer[0], "an array of Arrow", "a length, an offset and three buffers");
  }
  ArrowTexts texts;
  texts.length = static_cast<std::uint64_t>(length);
  texts.offset = static_cast<std::uint64_t>(offset);
  texts.offset_bytes = type == "string" ? 4U : 8U;
  texts.validity = read_buffer(document, buffers[0], texts);
  texts.offsets = read_buffer(document, buffers[1], texts);
  texts.bytes = read_buffer(document, buffers[2], texts);
  // Both are below 2^63, so the sum cannot wrap.
  const std::uint64_t end = texts.length + texts.offset;
  if (texts.length > 0 && end >= texts.offsets.size() / texts.offset_bytes) {
    fail(ErrorKind::kInput, document.subject(),
         "an array of Arrow with {} texts and {} bytes of "
         "offsets; expected {} each",
         end, texts.offsets.size(), texts.offset_bytes);
  }
  if (!texts.validity.empty() && texts.validity.size() < (end + 7) / 8) {
    fail(ErrorKind::kInput, document.subject(),
         "an array of Arrow with {} texts and {} bytes of "
         "validity; expected one bit each",
         end, texts.validity.size());
  }
  std::uint64_t before = 0;
  for (std::uint64_t i = texts.offset; texts.length > 0 && i <= end; ++i) {
    const std::uint64_t at = load_offset(texts, i);
    if (at < before || at > texts.bytes.size()) {
      fail(ErrorKind::kInput, document.subject(),
           "an array of Arrow whose text {} ends at byte {}; expected {} to {}", i, at, before,
           texts.bytes.size());
    }
    before = at;
  }
  return texts;
}

}  // namespace

std::string_view call_of(const Document& document, ValueId id) {
  if (document.kind(id) != Kind::kObject) return {};
  const ValueId callable = document.object(id).callable;
  return document.kind(callable) == Kind::kGlobal ? document.global(callable) : std::string_view();
}

Json json_of(const pickle::Number& number) {
  if (const auto* real = std::get_if<double>(&number)) {
    return std::isfinite(*real) ? Json(*real) : Json(nullptr);
  }
  if (const auto* integer = std::get_if<std::int64_t>(&number)) return *integer;
  if (const auto* natural = std::get_if<std::uint64_t>(&number)) return *natural;
  return std::get<bool>(number);
}

Json json_of(const pickle::Document& document, pickle::ValueId id) {
  return Converter(document).convert(id, 0);
}

std::vector<ArrowTexts> read_arrow_texts(const pickle::Document& document, pickle::ValueId id) {
  const std::string_view call = call_of(document, id);
  if (call == "pyarrow.lib _restore_array") return {read_arrow_array(document, id)};
  if (call != "pyarrow.lib chunked_array") {
    document.refuse(id, "an array of Arrow", "pyarrow.lib._restore_array or chunked_array");
  }
  const auto arguments = document.items(document.object(id).arguments);
  if (arguments.empty()) document.refuse(id, "a chunked array of Arrow", "its chunks");
  std::vector<ArrowTexts> chunks;
  for (const ValueId chunk : document.items(arguments[0])) {
    if (call_of(document, chunk) != "pyarrow.lib _restore_array") {
      document.refuse(chunk, "a chunk of an array of Arrow", "pyarrow.lib._restore_array");
    }
    chunks.push_back(read_arrow_array(document, chunk));
  }
  return chunks;
}

std::uint64_t length_of(const std::vector<ArrowTexts>& chunks) {
  std::uint64_t length = 0;
  for (const ArrowTexts& chunk : chunks) length += chunk.length;
  return length;
}

Json text_at(const std::vector<ArrowTexts>& chunks, std::uint64_t row) {
  for (const ArrowTexts& chunk : chunks) {
    if (row >= chunk.length) {
      row -= chunk.length;
      continue;
    }
    const std::uint64_t index = chunk.offset + row;
    if (!chunk.validity.empty()) {
      const auto bits = static_cast<unsigned char>(chunk.validity[index / 8]);
      if ((bits >> (index % 8) & 1U) == 0) return nullptr;
    }
    const std::uint64_t begin = load_offset(chunk, index);
    return std::string(chunk.bytes.substr(begin, load_offset(chunk, index + 1) - begin));
  }
  base::check(false, "a row lies within its array");
  return nullptr;
}

}  // namespace whit::data
