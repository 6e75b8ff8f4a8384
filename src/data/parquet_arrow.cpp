#include <arrow/api.h>
#include <arrow/io/file.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "data/content.h"
#include "data/row_bytes.h"
#include "data/rows.h"

namespace whit::data {

namespace {

using base::ErrorKind;
using base::fail;

constexpr std::int64_t kBatchRows = 256;
constexpr int kMaxArrowDepth = 32;
constexpr std::int32_t kMaxThriftString = 100 << 20;
constexpr std::int32_t kMaxThriftContainer = 1 << 20;
constexpr std::int64_t kStreamBytes = 1 << 20;
// What Arrow may hold at once: pages say how large they are, and a broken one may say anything.
constexpr std::int64_t kMaxArrowBytes = std::int64_t{1} << 30;

Json json_of(const arrow::Array& array, std::int64_t row, const std::string& name, int depth);

Json list_of(const arrow::Array& values, std::int64_t begin, std::int64_t end,
             const std::string& name, int depth) {
  Json list = Json::array();
  for (std::int64_t i = begin; i < end; ++i) list.push_back(json_of(values, i, name, depth + 1));
  return list;
}

Json struct_of(const arrow::StructArray& array, std::int64_t row, const std::string& name,
               int depth) {
  Json object = Json::object();
  for (int i = 0; i < array.num_fields(); ++i) {
    object[array.struct_type()->field(i)->name()] = json_of(*array.field(i), row, name, depth + 1);
  }
  return object;
}

template <typename Array>
Json number_of(const arrow::Array& array, std::int64_t row) {
  const auto value = static_cast<const Array&>(array).Value(row);
  if constexpr (std::is_floating_point_v<decltype(value)>) {
    return std::isfinite(value) ? Json(value) : Json(nullptr);
  }
  return value;
}

template <typename Array>
Json text_of(const arrow::Array& array, std::int64_t row) {
  return std::string(static_cast<const Array&>(array).GetView(row));
}

template <typename Array>
Json list_at(const arrow::Array& array, std::int64_t row, const std::string& name, int depth) {
  const auto& list = static_cast<const Array&>(array);
  const std::int64_t begin = list.value_offset(row);
  return list_of(*list.values(), begin, begin + list.value_length(row), name, depth);
}

Json dictionary_of(const arrow::Array& array, std::int64_t row, const std::string& name,
                   int depth) {
  const auto& dictionary = static_cast<const arrow::DictionaryArray&>(array);
  const std::int64_t index = dictionary.GetValueIndex(row),
                     size = dictionary.dictionary()->length();
  if (index < 0 || index >= size) {
    fail(ErrorKind::kInput, name, "entry {} of a dictionary of {}; expected one of them", index,
         size);
  }
  return json_of(*dictionary.dictionary(), index, name, depth + 1);
}

// A value of an Arrow array. Columns of other types are not read: they are left out beforehand.
Json json_of(const arrow::Array& array, std::int64_t row, const std::string& name, int depth) {
  if (depth > kMaxArrowDepth) {
    fail(ErrorKind::kInput, name, "nested deeper than {} levels; expected fewer", kMaxArrowDepth);
  }
  if (array.IsNull(row)) return nullptr;
  switch (array.type_id()) {
    case arrow::Type::BOOL:
      return static_cast<const arrow::BooleanArray&>(array).Value(row);
    case arrow::Type::INT8:
      return number_of<arrow::Int8Array>(array, row);
    case arrow::Type::INT16:
      return number_of<arrow::Int16Array>(array, row);
    case arrow::Type::INT32:
      return number_of<arrow::Int32Array>(array, row);
    case arrow::Type::INT64:
      return number_of<arrow::Int64Array>(array, row);
    case arrow::Type::UINT8:
      return number_of<arrow::UInt8Array>(array, row);
    case arrow::Type::UINT16:
      return number_of<arrow::UInt16Array>(array, row);
    case arrow::Type::UINT32:
      return number_of<arrow::UInt32Array>(array, row);
    case arrow::Type::UINT64:
      return number_of<arrow::UInt64Array>(array, row);
    case arrow::Type::FLOAT:
      return number_of<arrow::FloatArray>(array, row);
    case arrow::Type::DOUBLE:
      return number_of<arrow::DoubleArray>(array, row);
    case arrow::Type::STRING:
      return text_of<arrow::StringArray>(array, row);
    case arrow::Type::LARGE_STRING:
      return text_of<arrow::LargeStringArray>(array, row);
    case arrow::Type::STRING_VIEW:
      return text_of<arrow::StringViewArray>(array, row);
    case arrow::Type::LIST:
      return list_at<arrow::ListArray>(array, row, name, depth);
    case arrow::Type::LARGE_LIST:
      return list_at<arrow::LargeListArray>(array, row, name, depth);
    case arrow::Type::STRUCT:
      return struct_of(static_cast<const arrow::StructArray&>(array), row, name, depth);
    case arrow::Type::DICTIONARY:
      return dictionary_of(array, row, name, depth);
    default:
      fail(ErrorKind::kUnsupported, name, "a value of type {}; expected text, numbers or lists",
           array.type()->ToString());
  }
}

bool is_read(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::DICTIONARY:
      return is_read(*static_cast<const arrow::DictionaryType&>(type).value_type());
    case arrow::Type::LIST:
    case arrow::Type::LARGE_LIST:
    case arrow::Type::STRUCT:
      return std::all_of(type.fields().begin(), type.fields().end(),
                         [](const auto& field) { return is_read(*field->type()); });
    default:
      return type.id() == arrow::Type::BOOL || arrow::is_integer(type.id()) ||
             type.id() == arrow::Type::FLOAT || type.id() == arrow::Type::DOUBLE ||
             arrow::is_string(type.id()) || type.id() == arrow::Type::STRING_VIEW;
  }
}

// Rows of a Parquet file. Row groups are read one at a time and in batches of rows, so that memory
// follows the pages, not the file.
class ParquetRows final : public RowSource {
 public:
  ParquetRows(const fs::path& path, const RowArgs& args) : path_(path) {
    guard([&] {
      const auto reader = open();
      const auto metadata = reader->parquet_reader()->metadata();
      for (int group = 0; group < metadata->num_row_groups(); ++group) {
        const std::int64_t rows = metadata->RowGroup(group)->num_rows();
        if (rows < 0) fail(ErrorKind::kInput, path.string(), "a row group of {} rows", rows);
        begins_.push_back(count_);
        count_ += static_cast<std::uint64_t>(rows);
      }
      choose_columns(*reader, args.column);
    });
    if (count_ == 0) fail(ErrorKind::kInput, path.string(), "no rows; expected some");
  }

  std::uint64_t count() const override { return count_; }
  std::string name(std::uint64_t row) const override { return row_name(path_.string(), row); }
  std::string_view format() const override { return "Parquet"; }
  std::vector<fs::path> files() const override { return {path_}; }
  bool sequential() const override { return true; }

  void read(std::span<const std::uint64_t> rows, const Take& take) const override {
    guard([&] {
      const auto reader = open();
      bool more = true;
      for (std::size_t i = 0; i < rows.size() && more;) {
        const auto after = std::upper_bound(begins_.begin(), begins_.end(), rows[i]);
        const auto group = static_cast<std::size_t>(after - begins_.begin()) - 1;
        const std::uint64_t end = group + 1 < begins_.size() ? begins_[group + 1] : count_;
        std::size_t last = i;
        while (last < rows.size() && rows[last] < end) ++last;
        more = read_group(*reader, group, rows.subspan(i, last - i), take);
        i = last;
      }
    });
  }

 private:
  std::unique_ptr<parquet::arrow::FileReader> open() const {
    parquet::ReaderProperties properties(&pool_);
    properties.enable_buffered_stream();
    properties.set_buffer_size(kStreamBytes);
    properties.set_thrift_string_size_limit(kMaxThriftString);
    properties.set_thrift_container_size_limit(kMaxThriftContainer);
    parquet::ArrowReaderProperties arrow_properties(/*use_threads=*/false);
    arrow_properties.set_batch_size(kBatchRows);
    arrow_properties.set_pre_buffer(false);
    parquet::arrow::FileReaderBuilder builder;
    builder.memory_pool(&pool_);
    checked(builder.OpenFile(path_.string(), /*memory_map=*/false, properties));
    std::unique_ptr<parquet::arrow::FileReader> reader;
    checked(builder.properties(arrow_properties)->Build(&reader));
    return reader;
  }

  void checked(const arrow::Status& status) const {
    if (!status.ok()) {
      fail(ErrorKind::kInput, path_.string(), "{}; expected a whole Parquet file",
           status.message());
    }
  }

  // Arrow's readers throw what the layers below them throw.
  template <typename Work>
  void guard(Work work) const {
    try {
      work();
    } catch (const parquet::ParquetException& error) {
      fail(ErrorKind::kInput, path_.string(), "{}; expected a whole Parquet file", error.what());
    }
  }

  // The leaves of the columns that will be looked at.
  void choose_columns(parquet::arrow::FileReader& reader, const std::string& column) {
    std::shared_ptr<arrow::Schema> schema;
    checked(reader.GetSchema(&schema));
    const auto& manifest = reader.manifest();
    std::string names;
    for (std::size_t i = 0; i < manifest.schema_fields.size(); ++i) {
      const auto& field = manifest.schema_fields[i];
      const std::string& name = field.field->name();
      names += (names.empty() ? "" : ", ") + name;
      const auto known = known_columns();
      const bool wanted = column.empty()
                              ? std::find(known.begin(), known.end(), name) != known.end()
                              : name == column || name == "system";
      if (!wanted || !is_read(*field.field->type())) continue;
      add_leaves(field);
    }
    if (leaves_.empty()) {
      fail(ErrorKind::kInput, path_.string(), "no column {} among {}; expected it",
           column.empty() ? "that holds text, ids or chats" : fmt::format("{:?}", column), names);
    }
  }

  void add_leaves(const parquet::arrow::SchemaField& field) {
    if (field.column_index >= 0) leaves_.push_back(field.column_index);
    for (const auto& child : field.children) add_leaves(child);
  }

  bool read_group(parquet::arrow::FileReader& reader, std::size_t group,
                  std::span<const std::uint64_t> rows, const Take& take) const {
    auto batches = reader.GetRecordBatchReader({static_cast<int>(group)}, leaves_);
    checked(batches.status());
    std::uint64_t begin = begins_[group];
    std::size_t next = 0;
    while (next < rows.size()) {
      std::shared_ptr<arrow::RecordBatch> batch;
      checked((*batches)->ReadNext(&batch));
      if (batch == nullptr) {
        fail(ErrorKind::kInput, name(rows[next]), "not in its row group; expected it there");
      }
      const std::uint64_t end = begin + static_cast<std::uint64_t>(batch->num_rows());
      for (; next < rows.size() && rows[next] < end; ++next) {
        const auto at = static_cast<std::int64_t>(rows[next] - begin);
        if (!take(rows[next], read_row(*batch, at, name(rows[next])))) return false;
      }
      begin = end;
    }
    return true;
  }

  static Json read_row(const arrow::RecordBatch& batch, std::int64_t row, const std::string& name) {
    Json columns = Json::object();
    for (int i = 0; i < batch.num_columns(); ++i) {
      columns[batch.column_name(i)] = json_of(*batch.column(i), row, name, 0);
    }
    return columns;
  }

  fs::path path_;
  mutable arrow::CappedMemoryPool pool_{arrow::system_memory_pool(), kMaxArrowBytes};
  std::vector<std::uint64_t> begins_;
  std::uint64_t count_ = 0;
  std::vector<int> leaves_;
};

}  // namespace

std::unique_ptr<RowSource> parquet_rows(const fs::path& path, const RowArgs& args) {
  return std::make_unique<ParquetRows>(path, args);
}

}  // namespace whit::data
