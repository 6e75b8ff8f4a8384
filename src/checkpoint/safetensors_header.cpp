#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "base/error.h"
#include "checkpoint/safetensors.h"

// The header as a stream of JSON events: memory grows with what is kept, never with what a hostile
// header nests or repeats.
namespace whit::checkpoint {

namespace {

using base::ErrorKind;
using base::fail;

constexpr int kMaxIgnoredDepth = 64;
constexpr std::array<std::string_view, 5> kForeignDtypes{"F6_E2M3", "F6_E3M2", "C64", "F8_E4M3FNUZ",
                                                         "F8_E5M2FNUZ"};

// One tensor's entry as it stands in the header.
struct RawEntry {
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::vector<std::uint64_t> offsets;
  std::set<std::string> fields;
};

class HeaderEvents final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderEvents(const std::string& subject) : subject_(subject) {}

  std::vector<std::pair<std::string, RawEntry>> entries;
  std::map<std::string, std::string> metadata;

  bool null() override {
    if (where_ == Where::kTop && name_ == kMetadataKey) return true;
    return scalar("null");
  }
  bool boolean(bool) override { return scalar("a boolean"); }
  bool number_integer(number_integer_t) override { return scalar("a negative number"); }
  bool number_float(number_float_t, const string_t& text) override {
    return scalar("the number " + text);
  }
  bool binary(binary_t&) override { return scalar("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (where_ == Where::kShape) {
      entry_.shape.push_back(value);
      return true;
    }
    if (where_ == Where::kOffsets) {
      if (entry_.offsets.size() == 2)
        fail(ErrorKind::kInput, tensor_subject(),
             "more than two data_offsets; expected [begin, end]");
      entry_.offsets.push_back(value);
      return true;
    }
    return scalar("a number");
  }

  bool string(string_t& value) override {
    if (where_ == Where::kMetadata) {
      metadata[field_] = value;
      return true;
    }
    if (where_ == Where::kTensor && field_ == "dtype") {
      entry_.dtype = value;
      return true;
    }
    return scalar("a string");
  }

  bool key(string_t& value) override {
    switch (where_) {
      case Where::kTop:
        if (!names_.insert(value).second)
          fail(ErrorKind::kInput, subject_ + ": tensor " + value,
               "named twice in the header; expected once");
        name_ = value;
        break;
      case Where::kMetadata:
        if (metadata.count(value) != 0)
          fail(ErrorKind::kInput, subject_, "metadata key '{}' stands twice; expected once", value);
        field_ = value;
        break;
      case Where::kTensor:
        if (!entry_.fields.insert(value).second)
          fail(ErrorKind::kInput, tensor_subject(), "field '{}' stands twice; expected once",
               value);
        field_ = value;
        break;
      default:
        break;
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (where_ == Where::kStart) {
      where_ = Where::kTop;
    } else if (where_ == Where::kTop) {
      where_ = name_ == kMetadataKey ? Where::kMetadata : Where::kTensor;
      entry_ = {};
    } else {
      enter_ignored("an object");
    }
    return true;
  }

  bool end_object() override {
    if (where_ == Where::kTensor) {
      entries.emplace_back(name_, std::move(entry_));
      where_ = Where::kTop;
    } else if (where_ == Where::kMetadata) {
      where_ = Where::kTop;
    } else if (where_ == Where::kIgnored) {
      leave_ignored();
    }
    return true;
  }

  bool start_array(std::size_t) override {
    if (where_ == Where::kTensor && field_ == "shape") {
      where_ = Where::kShape;
    } else if (where_ == Where::kTensor && field_ == "data_offsets") {
      where_ = Where::kOffsets;
    } else {
      enter_ignored("an array");
    }
    return true;
  }

  bool end_array() override {
    if (where_ == Where::kIgnored) {
      leave_ignored();
    } else {
      where_ = Where::kTensor;
    }
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    fail(ErrorKind::kInput, subject_,
         "header is no JSON at its byte {} ({}); expected a JSON object", position, error.what());
  }

 private:
  static constexpr std::string_view kMetadataKey = "__metadata__";
  enum class Where { kStart, kTop, kMetadata, kTensor, kShape, kOffsets, kIgnored };

  std::string tensor_subject() const { return subject_ + ": tensor " + name_; }

  bool known_field() const {
    return field_ == "dtype" || field_ == "shape" || field_ == "data_offsets";
  }

  [[noreturn]] void unexpected(const std::string& found) const {
    switch (where_) {
      case Where::kStart:
        fail(ErrorKind::kInput, subject_, "header is {}; expected a JSON object", found);
      case Where::kMetadata:
        fail(ErrorKind::kInput, subject_, "metadata '{}' is {}; expected a string", field_, found);
      case Where::kTop:
        fail(ErrorKind::kInput, tensor_subject(), "described by {}; expected an object", found);
      default:
        fail(ErrorKind::kInput, tensor_subject(), "field '{}' holds {}; expected {}", field_, found,
             field_ == "dtype" ? "a string" : "non-negative integers");
    }
  }

  // A value that has no place of its own: passed over in fields that whit does not know.
  bool scalar(const std::string& found) {
    if (where_ == Where::kIgnored || (where_ == Where::kTensor && !known_field())) return true;
    unexpected(found);
  }

  void enter_ignored(const std::string& found) {
    if (where_ == Where::kIgnored) {
      if (++ignored_depth_ > kMaxIgnoredDepth)
        fail(ErrorKind::kInput, tensor_subject(), "nested deeper than {} levels", kMaxIgnoredDepth);
      return;
    }
    scalar(found);
    where_ = Where::kIgnored;
    ignored_depth_ = 1;
  }

  void leave_ignored() {
    if (--ignored_depth_ == 0) where_ = Where::kTensor;
  }

  const std::string& subject_;
  Where where_ = Where::kStart;
  int ignored_depth_ = 0;
  std::string name_;
  std::string field_;
  RawEntry entry_;
  std::set<std::string> names_;
};

tensor::Dtype parse_dtype(const std::string& name, const std::string& subject) {
  if (const auto dtype = numeric::dtype_from_name(name)) return *dtype;
  for (const std::string_view foreign : kForeignDtypes)
    if (name == foreign)
      fail(ErrorKind::kUnsupported, subject, "dtype {}; whit has no such element type", name);
  fail(ErrorKind::kInput, subject, "unknown dtype '{}'; expected one that safetensors names", name);
}

// Proves one entry against itself; offsets become positions in the file.
TensorInfo prove_entry(const std::string& name, const RawEntry& raw, std::uint64_t data_begin,
                       std::uint64_t data_bytes, const std::string& subject) {
  for (const char* field : {"dtype", "shape", "data_offsets"})
    if (raw.fields.count(field) == 0)
      fail(ErrorKind::kInput, subject, "no field '{}'; expected dtype, shape and data_offsets",
           field);
  if (raw.offsets.size() != 2)
    fail(ErrorKind::kInput, subject, "{} data_offsets; expected [begin, end]", raw.offsets.size());
  TensorInfo info;
  info.name = name;
  info.dtype = parse_dtype(raw.dtype, subject);
  for (const std::uint64_t extent : raw.shape) {
    if (extent > static_cast<std::uint64_t>(INT64_MAX))
      fail(ErrorKind::kInput, subject, "extent {} in the shape; expected less than 2^63", extent);
    info.shape.push_back(static_cast<std::int64_t>(extent));
  }
  info.bytes = tensor::byte_size(info.shape, info.dtype, subject);
  if (numeric::bits_of(info.dtype) < 8 && tensor::element_count(info.shape) % 2 != 0)
    fail(ErrorKind::kInput, subject, "shape {} of {} ends within a byte; expected whole bytes",
         tensor::to_string(info.shape), raw.dtype);
  const std::uint64_t begin = raw.offsets[0];
  const std::uint64_t end = raw.offsets[1];
  if (begin > end)
    fail(ErrorKind::kInput, subject, "data_offsets [{}, {}] run backwards", begin, end);
  if (end > data_bytes)
    fail(ErrorKind::kInput, subject, "data ends at byte {} of the data; the file has {}", end,
         data_bytes);
  if (end - begin != info.bytes)
    fail(ErrorKind::kInput, subject, "data_offsets span {} bytes; shape {} of {} needs {}",
         end - begin, tensor::to_string(info.shape), raw.dtype, info.bytes);
  info.offset = data_begin + begin;
  return info;
}

void prove_cover(const std::vector<TensorInfo>& tensors, std::uint64_t data_begin,
                 std::uint64_t file_bytes, const std::string& subject) {
  std::uint64_t cursor = data_begin;
  for (const TensorInfo& info : tensors) {
    const std::string where = subject + ": tensor " + info.name;
    if (info.offset < cursor)
      fail(ErrorKind::kInput, where, "begins at byte {} inside the tensor before it; expected {}",
           info.offset - data_begin, cursor - data_begin);
    if (info.offset > cursor)
      fail(ErrorKind::kInput, where, "begins at byte {} after a hole; expected {}",
           info.offset - data_begin, cursor - data_begin);
    cursor += info.bytes;
  }
  if (cursor != file_bytes)
    fail(ErrorKind::kInput, subject, "{} bytes after the last tensor; expected the end of the file",
         file_bytes - cursor);
}

std::string_view header_text(std::span<const std::byte> file, const std::string& subject) {
  if (file.size() < 8)
    fail(ErrorKind::kInput, subject, "{} bytes; expected at least the 8 of a header length",
         file.size());
  std::uint64_t length = 0;
  for (std::size_t i = 8; i-- > 0;) length = length << 8 | std::to_integer<std::uint64_t>(file[i]);
  if (length > kMaxHeaderBytes)
    fail(ErrorKind::kInput, subject, "header of {} bytes; expected at most {}", length,
         kMaxHeaderBytes);
  if (length > file.size() - 8)
    fail(ErrorKind::kInput, subject, "header of {} bytes in a file of {}; the file is truncated",
         length, file.size());
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + 8,
                              static_cast<std::size_t>(length));
  if (text.substr(0, 3) == "\xef\xbb\xbf")
    fail(ErrorKind::kInput, subject,
         "header begins with a byte order mark; expected a JSON object");
  if (text.find('\0') != std::string_view::npos)
    fail(ErrorKind::kInput, subject, "header holds a NUL byte; expected JSON padded with spaces");
  return text;
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file,
                                           const std::string& subject) {
  const std::string_view text = header_text(file, subject);
  HeaderEvents events(subject);
  nlohmann::json::sax_parse(text, &events);
  const std::uint64_t data_begin = 8 + text.size();
  SafetensorsHeader header;
  header.metadata = std::move(events.metadata);
  header.tensors.reserve(events.entries.size());
  for (const auto& [name, raw] : events.entries)
    header.tensors.push_back(
        prove_entry(name, raw, data_begin, file.size() - data_begin, subject + ": tensor " + name));
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const TensorInfo& a, const TensorInfo& b) {
              return std::tie(a.offset, a.bytes, a.name) < std::tie(b.offset, b.bytes, b.name);
            });
  prove_cover(header.tensors, data_begin, file.size(), subject);
  return header;
}

}  // namespace whit::checkpoint
