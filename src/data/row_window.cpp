#include "data/row_window.h"

#include <algorithm>

#include "base/error.h"

namespace whit::data {

namespace {

// Bytes that a value takes, roughly.
std::size_t size_of(const Json& value) {
  if (value.is_string()) return sizeof(Json) + value.get_ref<const std::string&>().size();
  std::size_t size = sizeof(Json);
  if (value.is_structured()) {
    for (const Json& item : value) size += size_of(item);
  }
  return size;
}

}  // namespace

Json RowWindow::read(std::uint64_t row, const NextRows& next_rows) {
  if (const auto found = kept_.find(row); found != kept_.end()) {
    Json columns = std::move(found->second);
    kept_.erase(found);
    return columns;
  }
  std::vector<std::uint64_t> wanted{row};
  if (source_.sequential()) {
    kept_.clear();
    const auto next = next_rows();
    wanted.insert(wanted.end(), next.begin(), next.end());
    std::sort(wanted.begin(), wanted.end());
    wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  }
  Json columns;
  bool found = false;
  std::size_t bytes = 0;
  source_.read(wanted, [&](std::uint64_t at, Json content) {
    if (at == row) {
      columns = std::move(content);
      found = true;
    } else if (bytes < kBytes) {
      bytes += size_of(content);
      kept_.emplace(at, std::move(content));
    }
    return !found || bytes < kBytes;
  });
  base::check(found, "a row that a source counts can be read");
  return columns;
}

}  // namespace whit::data
