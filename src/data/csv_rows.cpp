#include <algorithm>

#include "base/error.h"
#include "data/place_index.h"
#include "data/row_bytes.h"
#include "data/rows.h"

namespace whit::data {

namespace {

using base::ErrorKind;
using base::fail;

// One record after another of a text as RFC 4180 has them: fields in quotes may hold delimiters,
// line ends and doubled quotes. A quote within an unquoted field is a character like others.
class CsvCursor {
 public:
  CsvCursor(std::string_view text, char delimiter, std::size_t at, std::uint64_t line)
      : text_(text), delimiter_(delimiter), at_(at), line_(line) {}

  std::size_t at() const { return at_; }
  std::uint64_t line() const { return line_; }
  bool at_end() const { return at_ >= text_.size(); }

  // Passes lines that hold nothing; they are no records.
  void skip_empty_lines() {
    while (at_ < text_.size()) {
      if (text_[at_] == '\n') {
        ++at_;
      } else if (text_.substr(at_, 2) == "\r\n") {
        at_ += 2;
      } else {
        return;
      }
      ++line_;
    }
  }

  // Reads the record here; `fields` may be null, to pass over it. Errors: kInput.
  void record(std::vector<std::string>* fields, const std::string& path) {
    const std::uint64_t first_line = line_;
    while (true) {
      std::string field;
      std::string* into = fields == nullptr ? nullptr : &field;
      if (at_ < text_.size() && text_[at_] == '"') {
        quoted(into, path, first_line);
      } else {
        unquoted(into);
      }
      if (fields != nullptr) fields->push_back(std::move(field));
      if (at_ < text_.size() && text_[at_] == delimiter_) {
        ++at_;
        continue;
      }
      end_line(path);
      return;
    }
  }

 private:
  void unquoted(std::string* into) {
    const char ends[] = {delimiter_, '\n'};
    std::size_t end = std::min(text_.find_first_of(std::string_view(ends, 2), at_), text_.size());
    const bool line_end = end == text_.size() || text_[end] == '\n';
    if (line_end && end > at_ && text_[end - 1] == '\r') --end;
    if (into != nullptr) *into = text_.substr(at_, end - at_);
    at_ = end;
  }

  void quoted(std::string* into, const std::string& path, std::uint64_t first_line) {
    ++at_;
    while (true) {
      const std::size_t quote = text_.find('"', at_);
      if (quote == std::string_view::npos) {
        fail(ErrorKind::kInput, fmt::format("{}:{}", path, first_line),
             "a quoted field that does not end; expected a closing quote");
      }
      const std::string_view part = text_.substr(at_, quote - at_);
      line_ += static_cast<std::uint64_t>(std::count(part.begin(), part.end(), '\n'));
      if (into != nullptr) *into += part;
      at_ = quote + 1;
      if (at_ >= text_.size() || text_[at_] != '"') return;
      if (into != nullptr) *into += '"';
      ++at_;
    }
  }

  void end_line(const std::string& path) {
    if (at_ >= text_.size()) return;
    if (text_.substr(at_, 2) == "\r\n") {
      at_ += 2;
    } else if (text_[at_] == '\n') {
      ++at_;
    } else {
      fail(ErrorKind::kInput, fmt::format("{}:{}", path, line_),
           "{:?} behind a closing quote; expected {:?} or the end of the line", text_[at_],
           delimiter_);
    }
    ++line_;
  }

  std::string_view text_;
  char delimiter_;
  std::size_t at_;
  std::uint64_t line_;
};

// Records of a CSV file; the first one names the columns. Every value is a string.
class CsvRows final : public RowSource {
 public:
  CsvRows(const fs::path& path, char delimiter) : bytes_(path), delimiter_(delimiter) {
    CsvCursor cursor(bytes_.all(), delimiter, 0, 1);
    cursor.skip_empty_lines();
    cursor.record(&header_, bytes_.path());
    for (std::size_t i = 0; i < header_.size(); ++i) {
      if (std::find(header_.begin(), header_.begin() + static_cast<std::ptrdiff_t>(i),
                    header_[i]) != header_.begin() + static_cast<std::ptrdiff_t>(i)) {
        fail(ErrorKind::kInput, bytes_.path(), "the header names {:?} twice; expected once",
             header_[i]);
      }
    }
    for (cursor.skip_empty_lines(); !cursor.at_end(); cursor.skip_empty_lines()) {
      index_.add(cursor.at(), cursor.line());
      cursor.record(nullptr, bytes_.path());
      bytes_.release_read(cursor.at());
    }
    if (index_.count() == 0) {
      fail(ErrorKind::kInput, bytes_.path(), "a header and no rows; expected rows below it");
    }
  }

  std::uint64_t count() const override { return index_.count(); }
  std::string name(std::uint64_t row) const override {
    return fmt::format("{}:{}", bytes_.path(), find(row).line());
  }
  std::string_view format() const override { return delimiter_ == '\t' ? "TSV" : "CSV"; }
  std::vector<fs::path> files() const override { return {bytes_.file()}; }

  void read(std::span<const std::uint64_t> rows, const Take& take) const override {
    for (const std::uint64_t row : rows) {
      CsvCursor cursor = find(row);
      const std::uint64_t line = cursor.line();
      std::vector<std::string> fields;
      cursor.record(&fields, bytes_.path());
      if (fields.size() != header_.size()) {
        fail(ErrorKind::kInput, fmt::format("{}:{}", bytes_.path(), line),
             "{} fields; expected {} as the header has", fields.size(), header_.size());
      }
      Json columns;
      for (std::size_t i = 0; i < fields.size(); ++i) columns[header_[i]] = std::move(fields[i]);
      bytes_.release(index_.before(row).begin, cursor.at());
      if (!take(row, std::move(columns))) return;
    }
  }

 private:
  CsvCursor find(std::uint64_t row) const {
    const PlaceIndex::Place& place = index_.before(row);
    CsvCursor cursor(bytes_.all(), delimiter_, place.begin, place.line);
    for (std::uint64_t at = place.row; at < row; ++at) {
      cursor.record(nullptr, bytes_.path());
      cursor.skip_empty_lines();
    }
    return cursor;
  }

  RowBytes bytes_;
  char delimiter_;
  std::vector<std::string> header_;
  PlaceIndex index_;
};

}  // namespace

std::unique_ptr<RowSource> csv_rows(const fs::path& path, char delimiter) {
  return std::make_unique<CsvRows>(path, delimiter);
}

}  // namespace whit::data
