#include "base/error.h"
#include "data/place_index.h"
#include "data/row_bytes.h"
#include "data/rows.h"

namespace whit::data {

namespace {

using base::ErrorKind;
using base::fail;

// The lines of a JSON Lines file; empty ones are no rows.
class LineRows final : public RowSource {
 public:
  explicit LineRows(const fs::path& path) : bytes_(path) {
    std::uint64_t line = 1;
    for (std::size_t begin = 0; begin < bytes_.all().size(); ++line) {
      const std::string_view content = line_at(begin);
      if (!is_blank(content)) index_.add(begin, line);
      begin += content.size() + 1;
      bytes_.release_read(std::min(begin, bytes_.all().size()));
    }
  }

  std::uint64_t count() const override { return index_.count(); }
  std::string name(std::uint64_t row) const override {
    return fmt::format("{}:{}", bytes_.path(), find(row).line);
  }
  std::string_view format() const override { return "JSON Lines"; }
  std::vector<fs::path> files() const override { return {bytes_.file()}; }

  void read(std::span<const std::uint64_t> rows, const Take& take) const override {
    for (const std::uint64_t row : rows) {
      const PlaceIndex::Place place = find(row);
      const std::string_view line = line_at(place.begin);
      Json columns = parse_row(line, fmt::format("{}:{}", bytes_.path(), place.line));
      bytes_.release(index_.before(row).begin, place.begin + line.size());
      if (!take(row, std::move(columns))) return;
    }
  }

 private:
  std::string_view line_at(std::size_t begin) const {
    const std::string_view all = bytes_.all();
    return all.substr(begin, std::min(all.find('\n', begin), all.size()) - begin);
  }

  PlaceIndex::Place find(std::uint64_t row) const {
    PlaceIndex::Place place = index_.before(row);
    while (place.row < row) {
      place.begin += line_at(place.begin).size() + 1;
      ++place.line;
      if (!is_blank(line_at(place.begin))) ++place.row;
    }
    return place;
  }

  RowBytes bytes_;
  PlaceIndex index_;
};

}  // namespace

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

std::unique_ptr<RowSource> line_rows(const fs::path& path) {
  return std::make_unique<LineRows>(path);
}

}  // namespace whit::data
