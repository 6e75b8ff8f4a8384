#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace whit::runtime {

// Cuts a stream of text before the first stop string. Text that may be the beginning of one is held
// back until it is known.
class StopScanner {
 public:
  explicit StopScanner(std::vector<std::string> stops);

  // Takes the next piece; returns what is safe to show now.
  std::string push(std::string_view piece);
  // The held back rest, once the stream has ended without a stop string.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace whit::runtime
