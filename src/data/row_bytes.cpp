#include "data/row_bytes.h"

#include "base/error.h"

namespace whit::data {

namespace {

constexpr std::uint64_t kReleaseEvery = 64ULL << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

std::string row_name(const std::string& path, std::uint64_t row) {
  return fmt::format("{}[{}]", path, row);
}

RowBytes::RowBytes(const fs::path& path) : file_(path) {
  const auto bytes = file_.bytes();
  all_ = std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (all_.substr(0, kByteOrderMark.size()) == kByteOrderMark) mark_ = kByteOrderMark.size();
  all_.remove_prefix(mark_);
  if (is_blank(all_)) {
    base::fail(base::ErrorKind::kInput, path.string(), "an empty file; expected rows or text");
  }
}

void RowBytes::release(std::uint64_t begin, std::uint64_t end) const {
  file_.release(mark_ + begin, end - begin);
}

void RowBytes::release_read(std::uint64_t end) {
  if (end - released_ < kReleaseEvery) return;
  release(released_, end);
  released_ = end;
}

}  // namespace whit::data
