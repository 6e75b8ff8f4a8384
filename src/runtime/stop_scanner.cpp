#include "runtime/stop_scanner.h"

#include <algorithm>
#include <utility>

namespace whit::runtime {

StopScanner::StopScanner(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string StopScanner::push(std::string_view piece) {
  if (stopped_) return {};
  held_ += piece;
  std::size_t cut = std::string::npos;
  for (const auto& stop : stops_) cut = std::min(cut, held_.find(stop));
  if (cut != std::string::npos) {
    stopped_ = true;
    std::string shown = held_.substr(0, cut);
    held_.clear();
    return shown;
  }
  std::size_t keep = 0;  // longest end of held_ that begins a stop string
  for (const auto& stop : stops_)
    for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n)
      if (std::string_view(held_).ends_with(std::string_view(stop).substr(0, n))) {
        keep = n;
        break;
      }
  std::string shown = held_.substr(0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return shown;
}

std::string StopScanner::finish() {
  return std::exchange(held_, {});
}

}  // namespace whit::runtime
