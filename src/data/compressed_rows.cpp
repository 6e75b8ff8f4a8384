#include "base/error.h"
#include "data/byte_stream.h"
#include "data/row_bytes.h"
#include "data/rows.h"

namespace whit::data {

namespace {

constexpr std::size_t kMaxLineBytes = 256U << 20;

// The lines of a compressed JSON Lines file. Every reading starts at the file's beginning.
class CompressedRows final : public RowSource {
 public:
  explicit CompressedRows(const fs::path& path) : file_(path) {
    LineStream lines = open();
    for (std::string_view line; lines.next(line);) count_ += is_blank(line) ? 0U : 1U;
    if (count_ == 0) {
      base::fail(base::ErrorKind::kInput, path.string(), "an empty file; expected rows");
    }
  }

  std::uint64_t count() const override { return count_; }
  std::string name(std::uint64_t row) const override {
    return row_name(file_.path().string(), row);
  }
  std::string_view format() const override { return "compressed JSON Lines"; }
  std::vector<fs::path> files() const override { return {file_.path()}; }
  bool sequential() const override { return true; }

  void read(std::span<const std::uint64_t> rows, const Take& take) const override {
    LineStream lines = open();
    std::uint64_t row = 0;
    std::size_t wanted = 0;
    for (std::string_view line; wanted < rows.size() && lines.next(line);) {
      if (is_blank(line)) continue;
      if (row == rows[wanted]) {
        const auto where = fmt::format("{}:{}", file_.path().string(), lines.number());
        if (!take(row, parse_row(line, where))) return;
        ++wanted;
      }
      ++row;
    }
  }

 private:
  LineStream open() const {
    const bool gzip = file_.path().extension() == ".gz";
    return {gzip ? gzip_stream(file_) : zstd_stream(file_), file_.path().string(), kMaxLineBytes};
  }

  base::MappedFile file_;
  std::uint64_t count_ = 0;
};

}  // namespace

std::unique_ptr<RowSource> compressed_rows(const fs::path& path) {
  return std::make_unique<CompressedRows>(path);
}

}  // namespace whit::data
