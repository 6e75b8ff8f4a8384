#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"
#include "data/rows.h"

namespace whit::data {

namespace {

using base::ErrorKind;
using base::fail;

bool one_of(const std::string& extension, std::initializer_list<std::string_view> known) {
  return std::find(known.begin(), known.end(), extension) != known.end();
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::unique_ptr<RowSource> open_compressed(const fs::path& path) {
  const std::string inner = lower(path.stem().extension().string());
  if (!one_of(inner, {".jsonl", ".ndjson", ".json"})) {
    fail(ErrorKind::kUnsupported, path.string(),
         "a compressed file of kind {:?}; whit reads compressed JSON Lines (.jsonl.gz, .jsonl.zst)",
         inner);
  }
  return compressed_rows(path);
}

}  // namespace

std::unique_ptr<RowSource> open_rows(const fs::path& path, const RowArgs& args) {
  std::error_code code;
  if (fs::is_directory(path, code)) return folder_rows(path, args);
  const std::string extension = lower(path.extension().string());
  if (one_of(extension, {".jsonl", ".ndjson", ".json"})) return json_rows(path);
  if (extension == ".csv") return csv_rows(path, ',');
  if (extension == ".tsv") return csv_rows(path, '\t');
  if (extension == ".parquet") return parquet_rows(path, args);
  if (one_of(extension, {".pkl", ".pickle"})) return pickle_rows(path);
  if (one_of(extension, {".gz", ".zst"})) return open_compressed(path);
  if (one_of(extension, {".arrow", ".feather", ".orc", ".avro",   ".pt", ".pth",         ".bin",
                         ".npy",   ".npz",     ".zip", ".tar",    ".xz", ".bz2",         ".lz4",
                         ".7z",    ".xlsx",    ".h5",  ".sqlite", ".db", ".safetensors", ".pdf"})) {
    fail(ErrorKind::kUnsupported, path.string(),
         "a dataset of kind {:?}; whit reads .jsonl, .json, .csv, .tsv, .parquet, .pkl, .jsonl.gz, "
         ".jsonl.zst and plain text",
         extension);
  }
  return text_rows(path, args);
}

}  // namespace whit::data
