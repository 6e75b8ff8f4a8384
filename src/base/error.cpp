#include "base/error.h"

namespace whit::base {

Error::Error(ErrorKind kind, std::string subject, std::string detail)
    : kind_(kind),
      subject_(std::move(subject)),
      detail_(std::move(detail)),
      what_(subject_ + ": " + detail_) {}

Error& Error::add_context(std::string line) {
  context_.push_back(std::move(line));
  return *this;
}

Error& Error::suggest(std::string line) {
  suggestion_ = std::move(line);
  return *this;
}

void check(bool holds, std::string_view what, const char* file, int line) {
  if (holds) return;
  fail(ErrorKind::kBug, fmt::format("{}:{}", file, line), "broken invariant: {}", what);
}

}  // namespace whit::base
