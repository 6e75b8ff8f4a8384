#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/event.h"
#include "model/spec.h"

namespace whit::pipeline {

// `count` tokens (or as many as there are; none where count <= 0) that are not in `routed`
// (ascending), those with the highest router scores for `expert` first; ties go to the earlier
// token. scores: [T, experts]. Ascending.
std::vector<std::int32_t> likeliest_rows(std::span<const float> scores, std::size_t experts,
                                         std::size_t expert, std::span<const std::int32_t> routed,
                                         std::int64_t count);

// Those that an expert with `routed` tokens needs to have `wanted`. Event: "expert_topped_up" where
// there are any.
std::vector<std::int32_t> top_up(const model::MoeSpec& moe, int expert,
                                 std::span<const std::int32_t> routed,
                                 std::span<const float> scores, std::int64_t wanted,
                                 base::EventSink& events);

}  // namespace whit::pipeline
