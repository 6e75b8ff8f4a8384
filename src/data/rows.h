#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

namespace whit::data {

namespace fs = std::filesystem;

// A row as its file holds it: an object of columns, in the file's order.
using Json = nlohmann::ordered_json;

// The rows of a dataset, whatever file they lie in. Knows where rows are and reads those that are
// asked for, so that memory does not grow with the file.
class RowSource {
 public:
  using Take = std::function<bool(std::uint64_t row, Json columns)>;

  RowSource() = default;
  RowSource(const RowSource&) = delete;
  RowSource& operator=(const RowSource&) = delete;
  virtual ~RowSource() = default;

  virtual std::uint64_t count() const = 0;
  // "FILE:LINE" of a row, or "FILE[ROW]" (from 0) where it has no line; for errors.
  virtual std::string name(std::uint64_t row) const = 0;
  // "JSON Lines", for people.
  virtual std::string_view format() const = 0;
  // Gives `take` the rows that are asked for, which ascend, until it answers false.
  // Errors: kInput, subject = name of the row.
  virtual void read(std::span<const std::uint64_t> rows, const Take& take) const = 0;
  // Whether a row costs as much as all that lie before it, so that many are best read in one go.
  virtual bool sequential() const { return false; }
  // Files that the rows come from.
  virtual std::vector<fs::path> files() const = 0;
};

struct RowArgs {
  // The field that will be read; empty: those that whit knows. Formats that store columns apart
  // read no others.
  std::string column;
  // A plain text is cut at the first line end after that many bytes.
  std::uint64_t block_bytes = 256 * 1024;
};

// The rows of a file or folder, by the names of the files:
//   .jsonl .ndjson      one JSON object a line; .gz and .zst of them
//   .json               the same, an array of objects, or an object of columns
//   .csv .tsv           RFC 4180 with a header
//   .parquet            where whit was built with Apache Arrow
//   .pkl .pickle        a pandas DataFrame; nothing in it is executed
//   all others          plain text: one row for every block
// A folder gives the files of one kind in it (see folder_rows), in the order of their names.
// Errors: kInput (missing, empty, broken), kUnsupported (another kind of file); subject = path.
std::unique_ptr<RowSource> open_rows(const fs::path& path, const RowArgs& args);

// One a format; `path` is a file of it.
std::unique_ptr<RowSource> text_rows(const fs::path& path, const RowArgs& args);
std::unique_ptr<RowSource> line_rows(const fs::path& path);
std::unique_ptr<RowSource> json_rows(const fs::path& path);
std::unique_ptr<RowSource> csv_rows(const fs::path& path, char delimiter);
std::unique_ptr<RowSource> compressed_rows(const fs::path& path);
std::unique_ptr<RowSource> parquet_rows(const fs::path& path, const RowArgs& args);
std::unique_ptr<RowSource> pickle_rows(const fs::path& path);
// Of the files below a folder those of the first kind that is there (Parquet, JSON Lines, JSON,
// CSV, plain text .txt); of these the ones named after a training split, where there are such.
std::unique_ptr<RowSource> folder_rows(const fs::path& folder, const RowArgs& args);

// One line of JSON as a row. Errors: kInput, subject = name.
Json parse_row(std::string_view line, const std::string& name);

}  // namespace whit::data
