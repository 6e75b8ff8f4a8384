#include <algorithm>

#include "base/error.h"
#include "data/json_scanner.h"
#include "data/place_index.h"
#include "data/row_bytes.h"
#include "data/rows.h"

namespace whit::data {

namespace {

using base::ErrorKind;
using base::fail;

std::string_view slice(const RowBytes& bytes, std::size_t begin, std::size_t end) {
  return bytes.all().substr(begin, end - begin);
}

Json parse_value(std::string_view text, const std::string& name) {
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    fail(ErrorKind::kInput, name, "not JSON ({}); expected a value", error.what());
  }
}

// The elements of one array, or the values of one object whose keys number rows.
class Elements {
 public:
  // `at`: the opening bracket; becomes the byte behind the closing one.
  Elements(RowBytes& bytes, const JsonScanner& scanner, std::size_t& at)
      : keyed_(scanner.at(at) == '{') {
    const char close = keyed_ ? '}' : ']';
    at = scanner.skip_space(at + 1);
    if (scanner.at(at) == close) {
      ++at;
      return;
    }
    do {
      index_.add(at, 0);
      at = value_end(scanner, at);
      bytes.release_read(std::min(at, bytes.all().size()));
    } while (scanner.next_element(at, close));
  }

  std::uint64_t count() const { return index_.count(); }

  // [begin, end) of an element: the value alone, or KEY: VALUE.
  std::pair<std::size_t, std::size_t> find(const JsonScanner& scanner, std::uint64_t row) const {
    PlaceIndex::Place place = index_.before(row);
    std::size_t at = place.begin;
    for (; place.row < row; ++place.row) {
      at = value_end(scanner, at);
      scanner.next_element(at, keyed_ ? '}' : ']');
    }
    return {at, value_end(scanner, at)};
  }
  bool keyed() const { return keyed_; }
  std::uint64_t first_byte(std::uint64_t row) const { return index_.before(row).begin; }

 private:
  std::size_t value_end(const JsonScanner& scanner, std::size_t at) const {
    if (keyed_) at = value_begin(scanner, at);
    return scanner.skip_value(at);
  }
  static std::size_t value_begin(const JsonScanner& scanner, std::size_t at) {
    if (scanner.at(at) != '"') scanner.refuse(at, "a key");
    at = scanner.skip_space(scanner.skip_value(at));
    if (scanner.at(at) != ':') scanner.refuse(at, "':'");
    return scanner.skip_space(at + 1);
  }

  bool keyed_;
  PlaceIndex index_;
};

// An array of objects.
class ArrayRows final : public RowSource {
 public:
  explicit ArrayRows(const fs::path& path)
      : bytes_(path), scanner_(bytes_.all(), bytes_.path()), elements_(scan()) {}

  std::uint64_t count() const override { return elements_.count(); }
  std::string name(std::uint64_t row) const override { return row_name(bytes_.path(), row); }
  std::string_view format() const override { return "JSON array"; }
  std::vector<fs::path> files() const override { return {bytes_.file()}; }

  void read(std::span<const std::uint64_t> rows, const Take& take) const override {
    for (const std::uint64_t row : rows) {
      const auto [begin, end] = elements_.find(scanner_, row);
      Json columns = parse_value(slice(bytes_, begin, end), name(row));
      if (!columns.is_object()) {
        fail(ErrorKind::kInput, name(row), "found {}; expected an object", columns.type_name());
      }
      bytes_.release(elements_.first_byte(row), end);
      if (!take(row, std::move(columns))) return;
    }
  }

 private:
  Elements scan() {
    std::size_t at = scanner_.skip_space(0);
    Elements elements(bytes_, scanner_, at);
    at = scanner_.skip_space(at);
    if (at != bytes_.all().size()) scanner_.refuse(at, "the end of the file behind the array");
    if (elements.count() == 0) {
      fail(ErrorKind::kInput, bytes_.path(), "an empty array; expected rows");
    }
    return elements;
  }

  RowBytes bytes_;
  JsonScanner scanner_;
  Elements elements_;
};

// An object of columns: {"text": ["a", "b"]}, or as pandas writes it {"text": {"0": "a", "1":
// "b"}}.
class ColumnRows final : public RowSource {
 public:
  explicit ColumnRows(const fs::path& path) : bytes_(path), scanner_(bytes_.all(), bytes_.path()) {
    std::size_t at = scanner_.skip_space(0) + 1;
    at = scanner_.skip_space(at);
    if (scanner_.at(at) == '}') fail(ErrorKind::kInput, bytes_.path(), "no columns; expected some");
    do {
      scan_column(at);
    } while (scanner_.next_element(at, '}'));
    if (columns_.front().elements.count() == 0) {
      fail(ErrorKind::kInput, bytes_.path(), "columns without rows; expected rows");
    }
  }

  std::uint64_t count() const override { return columns_.front().elements.count(); }
  std::string name(std::uint64_t row) const override { return row_name(bytes_.path(), row); }
  std::string_view format() const override { return "JSON columns"; }
  std::vector<fs::path> files() const override { return {bytes_.file()}; }

  void read(std::span<const std::uint64_t> rows, const Take& take) const override {
    for (const std::uint64_t row : rows) {
      if (!take(row, read_row(row))) return;
    }
  }

 private:
  struct Column {
    std::string name;
    Elements elements;
  };

  void scan_column(std::size_t& at) {
    const std::size_t key = at;
    if (scanner_.at(at) != '"') scanner_.refuse(at, "a column's name");
    at = scanner_.skip_value(at);
    const std::string column =
        parse_value(slice(bytes_, key, at), bytes_.path()).get<std::string>();
    at = scanner_.skip_space(at);
    if (scanner_.at(at) != ':') scanner_.refuse(at, "':'");
    at = scanner_.skip_space(at + 1);
    if (scanner_.at(at) != '[' && scanner_.at(at) != '{') {
      scanner_.refuse(at, fmt::format("an array of the column {:?}", column));
    }
    columns_.push_back({column, Elements(bytes_, scanner_, at)});
    const auto& [first, first_elements] = columns_.front();
    const auto& elements = columns_.back().elements;
    if (elements.count() != first_elements.count()) {
      fail(ErrorKind::kInput, bytes_.path(), "column {:?} has {} rows; expected {} as {:?} has",
           column, elements.count(), first_elements.count(), first);
    }
  }

  Json read_row(std::uint64_t row) const {
    Json columns;
    std::string key;
    for (const auto& [column, elements] : columns_) {
      const auto [begin, end] = elements.find(scanner_, row);
      std::string_view text = slice(bytes_, begin, end);
      if (elements.keyed()) {
        const std::size_t key_end = scanner_.skip_value(begin) - begin;
        const std::string_view its_key = text.substr(0, key_end);
        if (key.empty()) key = its_key;
        if (its_key != key) {
          fail(ErrorKind::kInput, name(row), "column {:?} has the key {}; expected {}", column,
               its_key, key);
        }
        text.remove_prefix(text.find(':', key_end) + 1);
      }
      columns[column] = parse_value(text, name(row));
      bytes_.release(elements.first_byte(row), end);
    }
    return columns;
  }

  RowBytes bytes_;
  JsonScanner scanner_;
  std::vector<Column> columns_;
};

// Whether the object that a file begins with holds columns: nothing but arrays and objects, and
// those that whit reads hold a value for every row; and nothing follows it.
bool holds_columns(std::string_view text, const JsonScanner& scanner) {
  std::size_t at = scanner.skip_space(scanner.skip_space(0) + 1);
  if (scanner.at(at) == '}') return false;
  do {
    const std::size_t key = at;
    if (scanner.at(at) != '"') return false;
    at = scanner.skip_value(at);
    const std::string_view name = text.substr(key, at - key);
    at = scanner.skip_space(at);
    if (scanner.at(at) != ':') return false;
    at = scanner.skip_space(at + 1);
    const char open = scanner.at(at);
    if (open != '[' && open != '{') return false;
    const char first = scanner.at(scanner.skip_space(at + 1));
    const bool list_of_rows =
        name == R"("input_ids")" || name == R"("messages")" || name == R"("conversations")";
    if (open == '[' && list_of_rows && first != '[') return false;
    at = scanner.skip_value(at);
  } while (scanner.next_element(at, '}'));
  return scanner.skip_space(at) == text.size();
}

enum class JsonKind { kArray, kColumns, kLines };

JsonKind kind_of(const RowBytes& bytes) {
  const JsonScanner scanner(bytes.all(), bytes.path());
  const std::size_t begin = scanner.skip_space(0);
  if (scanner.at(begin) == '[') return JsonKind::kArray;
  if (scanner.at(begin) != '{') return JsonKind::kLines;
  std::size_t end = 0;
  try {
    if (holds_columns(bytes.all(), scanner)) return JsonKind::kColumns;
    end = scanner.skip_value(begin);
  } catch (const base::Error&) {
    return JsonKind::kLines;  // broken; read as lines, the error names one
  }
  if (slice(bytes, begin, end).find('\n') != std::string_view::npos) {
    fail(ErrorKind::kInput, bytes.path(),
         "an object over several lines that holds no columns; expected an array of objects, an "
         "object of columns, or one object a line");
  }
  return JsonKind::kLines;
}

}  // namespace

std::unique_ptr<RowSource> json_rows(const fs::path& path) {
  switch (kind_of(RowBytes(path))) {
    case JsonKind::kArray:
      return std::make_unique<ArrayRows>(path);
    case JsonKind::kColumns:
      return std::make_unique<ColumnRows>(path);
    case JsonKind::kLines:
      break;
  }
  return line_rows(path);
}

}  // namespace whit::data
