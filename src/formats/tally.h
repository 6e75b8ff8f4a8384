#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "formats/verify.h"

namespace whit::formats {

// Counts one rule over many things and remembers the first that break it.
class Tally {
 public:
  Tally(std::string name, std::string things)
      : name_(std::move(name)), things_(std::move(things)) {}

  void pass() { ++seen_; }
  void fail(std::string what) {
    ++seen_;
    ++failed_;
    if (failures_.size() < kShown) failures_.push_back(std::move(what));
  }
  void judge(bool good, const std::string& what) { good ? pass() : fail(what); }
  // One failure of the rule as a whole.
  void refuse(std::string what) {
    failed_ = std::max<std::int64_t>(failed_, 1);
    failures_.push_back(std::move(what));
  }

  Check check() const {
    std::string detail = fmt::format("{} {}", seen_, things_);
    if (failed_ > 0) {
      detail = fmt::format("{} of {}", failed_, detail);
      for (std::size_t i = 0; i < failures_.size(); ++i)
        detail += (i == 0 ? ": " : "; ") + failures_[i];
      if (static_cast<std::size_t>(failed_) > failures_.size()) detail += "; ...";
    }
    return {name_, failed_ == 0, detail};
  }

 private:
  static constexpr std::size_t kShown = 4;
  std::string name_;
  std::string things_;
  std::int64_t seen_ = 0;
  std::int64_t failed_ = 0;
  std::vector<std::string> failures_;
};

}  // namespace whit::formats
