#include "data/rows.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace whit::data {

namespace {

using base::ErrorKind;
using base::fail;
using Json = nlohmann::json;

constexpr std::uint64_t kReleaseEvery = 64ULL << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool one_of(const std::string& extension, std::initializer_list<std::string_view> known) {
  return std::find(known.begin(), known.end(), extension) != known.end();
}

bool blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

Json parse_row(std::string_view line, const std::string& name) {
  Json row;
  try {
    row = Json::parse(line);
  } catch (const Json::exception& error) {
    fail(ErrorKind::kInput, name, "not JSON ({}); expected one object on this line", error.what());
  }
  if (!row.is_object())
    fail(ErrorKind::kInput, name, "found {}; expected an object", row.type_name());
  return row;
}

std::vector<text::TokenId> read_ids(const Json& array, const std::string& name) {
  std::vector<text::TokenId> ids;
  ids.reserve(array.size());
  for (const Json& item : array) {
    if (!item.is_number_integer()) {
      fail(ErrorKind::kInput, name, "id {} is {}; expected an integer", ids.size(), item.dump());
    }
    const bool fits = item.is_number_unsigned() ? item.get<std::uint64_t>() <= INT32_MAX : false;
    if (!fits) {
      fail(ErrorKind::kInput, name, "id {} is {}; expected 0 to {}", ids.size(), item.dump(),
           INT32_MAX);
    }
    ids.push_back(item.get<text::TokenId>());
  }
  return ids;
}

}  // namespace

RowFile::RowFile(const fs::path& path, std::string column, std::uint64_t block_bytes)
    : column_(std::move(column)) {
  const std::string extension = path.extension().string();
  if (one_of(extension, {".parquet", ".arrow", ".csv", ".tsv", ".pkl", ".pickle", ".pt", ".npy",
                         ".npz", ".gz", ".zst", ".zip", ".xz", ".bz2"})) {
    fail(ErrorKind::kUnsupported, path.string(),
         "a dataset of kind {:?}; whit reads JSON Lines (.jsonl) and plain text", extension);
  }
  file_ = base::MappedFile(path);
  const std::string_view all = contents();
  if (blank(all)) fail(ErrorKind::kInput, path.string(), "an empty file; expected rows or text");
  plain_text_ = !one_of(extension, {".jsonl", ".ndjson", ".json"});
  if (plain_text_) {
    const std::size_t nul = all.substr(0, 4096).find('\0');
    if (nul != std::string_view::npos) {
      fail(ErrorKind::kInput, path.string(), "a NUL at byte {}; expected text", nul);
    }
    index_blocks(block_bytes);
  } else {
    if (all[all.find_first_not_of(" \t\r\n")] == '[') {
      fail(ErrorKind::kUnsupported, path.string(),
           "a JSON array; whit reads JSON Lines, one object a line");
    }
    index_lines();
  }
}

std::string_view RowFile::contents() const {
  const auto bytes = file_.bytes();
  std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return all.substr(0, kByteOrderMark.size()) == kByteOrderMark ? all.substr(kByteOrderMark.size())
                                                                : all;
}

void RowFile::index_lines() {
  const std::string_view all = contents();
  std::uint64_t line = 1;
  std::uint64_t released = 0;
  for (std::size_t begin = 0; begin < all.size(); ++line) {
    const std::size_t found = all.find('\n', begin);
    const std::size_t end = found == std::string_view::npos ? all.size() : found;
    if (!blank(all.substr(begin, end - begin))) places_.push_back({begin, end, line});
    begin = end + 1;
    if (begin - released >= kReleaseEvery) {
      file_.release(released, begin - released);
      released = begin;
    }
  }
}

void RowFile::index_blocks(std::uint64_t block_bytes) {
  const std::string_view all = contents();
  std::uint64_t line = 1;
  for (std::size_t begin = 0; begin < all.size();) {
    std::size_t end = all.size();
    if (all.size() - begin > 2 * block_bytes) {
      const std::size_t wanted = begin + block_bytes;
      const std::size_t found = all.substr(wanted, block_bytes).find('\n');
      end = found == std::string_view::npos ? wanted + block_bytes : wanted + found + 1;
      // A text without lines is cut between characters.
      while (found == std::string_view::npos && end > wanted &&
             (static_cast<unsigned char>(all[end]) & 0xC0) == 0x80) {
        --end;
      }
    }
    const std::string_view block = all.substr(begin, end - begin);
    if (!blank(block)) places_.push_back({begin, end, line});
    line += static_cast<std::uint64_t>(std::count(block.begin(), block.end(), '\n'));
    file_.release(begin, end - begin);
    begin = end;
  }
}

std::string RowFile::name(std::size_t row) const {
  return fmt::format("{}:{}", file_.path().string(), places_[row].line);
}

Row RowFile::read(std::size_t row) const {
  const Place place = places_[row];
  const std::string_view bytes = contents().substr(place.begin, place.end - place.begin);
  if (plain_text_) {
    Row text{std::string(bytes)};
    file_.release(place.begin, place.end - place.begin);
    return text;
  }
  const std::string where = name(row);
  Json json = parse_row(bytes, where);
  file_.release(place.begin, place.end - place.begin);
  std::string column = column_;
  if (column.empty()) column = json.contains("input_ids") ? "input_ids" : "text";
  const auto found = json.find(column);
  if (found == json.end()) {
    if (!column_.empty()) fail(ErrorKind::kInput, where, "no column {:?}; expected it", column);
    if (json.contains("messages")) {
      fail(ErrorKind::kUnsupported, where, "a chat (messages); whit reads text and input_ids");
    }
    fail(ErrorKind::kInput, where, "neither text nor input_ids; expected one of them");
  }
  if (found->is_string()) return {std::move(found->get_ref<std::string&>())};
  if (found->is_array()) return {read_ids(*found, where)};
  fail(ErrorKind::kInput, where, "{:?} is {}; expected a string or an array of ids", column,
       found->type_name());
}

}  // namespace whit::data
