#include "base/error.h"
#include "base/file.h"
#include "data/pandas_frame.h"
#include "data/row_bytes.h"
#include "data/rows.h"
#include "pickle/document.h"

namespace whit::data {

namespace {

using base::ErrorKind;
using base::fail;
using pickle::Kind;

std::string_view bytes_of(const base::MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

// A pickled table: a pandas DataFrame, or a list of dicts. Read by src/pickle, which runs nothing.
class PickleRows final : public RowSource {
 public:
  explicit PickleRows(const fs::path& path)
      : file_(path), document_(pickle::read(bytes_of(file_), {table_globals()}, path.string())) {
    if (document_.kind(document_.root()) == Kind::kList) {
      count_ = document_.items(document_.root()).size();
    } else {
      count_ = frame_.emplace(document_).rows();
    }
    if (count_ == 0) fail(ErrorKind::kInput, path.string(), "a table without rows; expected rows");
  }

  std::uint64_t count() const override { return count_; }
  std::string name(std::uint64_t row) const override {
    return row_name(file_.path().string(), row);
  }
  std::string_view format() const override { return frame_ ? "pandas pickle" : "pickled list"; }
  std::vector<fs::path> files() const override { return {file_.path()}; }

  void read(std::span<const std::uint64_t> rows, const Take& take) const override {
    for (const std::uint64_t row : rows) {
      if (!take(row, frame_ ? frame_row(row) : list_row(row))) return;
    }
  }

 private:
  Json frame_row(std::uint64_t row) const {
    Json columns = Json::object();
    for (std::size_t i = 0; i < frame_->columns().size(); ++i) {
      if (frame_->is_read(i)) columns[frame_->columns()[i]] = frame_->at(row, i);
    }
    return columns;
  }

  Json list_row(std::uint64_t row) const {
    const auto id = document_.items(document_.root())[static_cast<std::size_t>(row)];
    if (document_.kind(id) != Kind::kDict) document_.refuse(id, name(row), "a dict of columns");
    return json_of(document_, id);
  }

  base::MappedFile file_;
  pickle::Document document_;
  std::optional<PandasFrame> frame_;
  std::uint64_t count_ = 0;
};

}  // namespace

std::unique_ptr<RowSource> pickle_rows(const fs::path& path) {
  return std::make_unique<PickleRows>(path);
}

}  // namespace whit::data
