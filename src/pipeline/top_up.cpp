#include "pipeline/top_up.h"

#include <algorithm>

namespace whit::pipeline {

std::vector<std::int32_t> likeliest_rows(std::span<const float> scores, std::size_t experts,
                                         std::size_t expert, std::span<const std::int32_t> routed,
                                         std::int64_t count) {
  if (count <= 0) return {};
  const auto tokens = static_cast<std::int32_t>(scores.size() / experts);
  std::vector<std::int32_t> others;
  others.reserve(static_cast<std::size_t>(tokens));
  std::size_t next = 0;
  for (std::int32_t t = 0; t < tokens; ++t) {
    if (next < routed.size() && routed[next] == t)
      ++next;
    else
      others.push_back(t);
  }
  const auto keep = std::min<std::size_t>(static_cast<std::size_t>(count), others.size());
  const auto score = [&](std::int32_t t) {
    return scores[static_cast<std::size_t>(t) * experts + expert];
  };
  std::partial_sort(others.begin(), others.begin() + static_cast<std::ptrdiff_t>(keep),
                    others.end(), [&](std::int32_t a, std::int32_t b) {
                      return score(a) != score(b) ? score(a) > score(b) : a < b;
                    });
  others.resize(keep);
  std::sort(others.begin(), others.end());
  return others;
}

std::vector<std::int32_t> top_up(const model::MoeSpec& moe, int expert,
                                 std::span<const std::int32_t> routed,
                                 std::span<const float> scores, std::int64_t wanted,
                                 base::EventSink& events) {
  const auto number = static_cast<std::size_t>(expert);
  std::vector<std::int32_t> rows =
      likeliest_rows(scores, moe.experts.size(), number, routed,
                     wanted - static_cast<std::int64_t>(routed.size()));
  if (rows.empty()) return rows;
  const std::string& down = moe.experts[number].down.module;
  events.emit({"expert_topped_up",
               {{"name", down.substr(0, down.rfind('.'))},
                {"routed", static_cast<std::int64_t>(routed.size())},
                {"extra", static_cast<std::int64_t>(rows.size())}}});
  return rows;
}

}  // namespace whit::pipeline
