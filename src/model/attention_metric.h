#pragma once

#include <vector>

#include "model/forward.h"

namespace whit::model {

// How much errors in the outputs of a linear matter, together: the sum over tokens of g gᵀ, g the
// gradient, by the linear's output, of a random projection of the attention's output (relative to
// the residual stream that it is added to). Block diagonal: F32 [out, R], out/R symmetric blocks
// one below the other, a block being what one head reads, or the whole.
struct LinearMetric {
  const LinearSpec* linear = nullptr;
  tensor::Tensor metric;
};

// R of a linear's metric; 0 where it has none.
std::int64_t metric_block(const LayerSpec& layer, const LinearSpec& linear);

// Of the linears before the softmax of one layer, over its first `tokens` tokens or a few more.
// kHidden holds the layer's input and stays as it is. The projections are fixed: the same input
// gives the same metric.
std::vector<LinearMetric> attention_metrics(ForwardContext& context, const LayerSpec& layer,
                                            std::int64_t tokens);

}  // namespace whit::model
