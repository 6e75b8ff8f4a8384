#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace whit::pipeline {

// `count` tokens (or as many as there are; none where count <= 0) that are not in `routed`
// (ascending), those with the highest router scores for `expert` first; ties go to the earlier
// token. scores: [T, experts]. Ascending.
std::vector<std::int32_t> likeliest_rows(std::span<const float> scores, std::size_t experts,
                                         std::size_t expert, std::span<const std::int32_t> routed,
                                         std::int64_t count);

}  // namespace whit::pipeline
