#pragma once

#include <vector>

#include "model/blocks.h"

namespace whit::model {

// Which token rows go to which expert.
struct Dispatch {
  std::vector<std::vector<std::int32_t>> rows;  // per expert, ascending
  std::vector<std::vector<float>> weights;      // per expert, the router's weight of each row
  std::vector<float> scores;                    // [T,E] where wanted, else empty
  std::vector<float> chosen;                    // [T] sum of the scores of a token's own experts
  std::vector<float> shared;                    // [T] weight of the shared expert, where gated
};

// Norms kHidden into kMlpIn and routes every token, in fp32.
Dispatch route_tokens(LayerRun& run, const MoeSpec& moe, bool wants_scores);

// The weight that `row` would give `expert` had it been chosen beside the token's own experts.
float weight_if_chosen(const Dispatch& dispatch, const RouterSpec& router, std::int32_t row,
                       std::size_t expert);

}  // namespace whit::model
