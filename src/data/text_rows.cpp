#include <algorithm>

#include "base/error.h"
#include "data/row_bytes.h"
#include "data/rows.h"

namespace whit::data {

namespace {

// The blocks of a plain text, each in the column "text".
class TextRows final : public RowSource {
 public:
  TextRows(const fs::path& path, std::uint64_t block_bytes) : bytes_(path) {
    const std::size_t nul = bytes_.all().substr(0, 4096).find('\0');
    if (nul != std::string_view::npos) {
      base::fail(base::ErrorKind::kInput, path.string(), "a NUL at byte {}; expected text", nul);
    }
    index(block_bytes);
  }

  std::uint64_t count() const override { return places_.size(); }
  std::string name(std::uint64_t row) const override {
    return fmt::format("{}:{}", bytes_.path(), places_[row].line);
  }
  std::string_view format() const override { return "plain text"; }
  std::vector<fs::path> files() const override { return {bytes_.file()}; }

  void read(std::span<const std::uint64_t> rows, const Take& take) const override {
    for (const std::uint64_t row : rows) {
      const Place& place = places_[row];
      Json columns;
      columns["text"] = std::string(bytes_.all().substr(place.begin, place.end - place.begin));
      bytes_.release(place.begin, place.end);
      if (!take(row, std::move(columns))) return;
    }
  }

 private:
  struct Place {
    std::uint64_t begin;
    std::uint64_t end;
    std::uint64_t line;
  };

  void index(std::uint64_t block_bytes) {
    const std::string_view all = bytes_.all();
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
      if (!is_blank(block)) places_.push_back({begin, end, line});
      line += static_cast<std::uint64_t>(std::count(block.begin(), block.end(), '\n'));
      bytes_.release(begin, end);
      begin = end;
    }
  }

  RowBytes bytes_;
  std::vector<Place> places_;
};

}  // namespace

std::unique_ptr<RowSource> text_rows(const fs::path& path, const RowArgs& args) {
  return std::make_unique<TextRows>(path, args.block_bytes);
}

}  // namespace whit::data
