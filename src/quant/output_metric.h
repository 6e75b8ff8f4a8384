#pragma once

#include <cstdint>
#include <vector>

#include "quant/gptq.h"

// Errors in a weight's rows matter together: with M = E[g gᵀ], g the gradient of what the model
// does with the outputs, the loss is tr(M E H Eᵀ) (Kronecker-factored, as in K-FAC and YAQA,
// arXiv:2505.22988). The equations are in docs/methods/output_metric.md.
namespace whit::quant {

struct OutputMetric {
  tensor::Tensor m;                 // F32 [N,R]: N/R damped symmetric blocks, rows as in the weight
  tensor::Tensor u;                 // F32 [N,R]: M = U D Uᵀ of each block, in processing order
  std::vector<std::int32_t> order;  // row of each processing position; stays within blocks
};

// metric: F32 [N,R] on the device, N/R symmetric positive semidefinite blocks one below the other.
// rel_damp times the mean of a block's diagonal is added to it.
OutputMetric factor_metric(compute::Backend& backend, tensor::ConstMatrixView metric,
                           double rel_damp);

// New codes for `weight` on its scales: a sweep in which rows of a block also make up for each
// other's errors, kept where it lowers tr(M E Hd Eᵀ), then `passes` of coordinate descent on that;
// none lets it rise. w, gram and factor as for gptq.
// Cost: N K (K + R) / 2 multiply-adds for the sweep, N K (K + R) for each look at the error and
// each pass. Memory: four F32 [N,K].
void sweep_under_metric(compute::Backend& backend, tensor::ConstMatrixView w,
                        const stats::Gram& gram, const Factor& factor, const OutputMetric& metric,
                        std::int64_t block_size, int passes, scheme::GroupedInt& weight);

// tr(M E Hd Eᵀ), E = w - what `weight` decodes to.
double metric_error(compute::Backend& backend, tensor::ConstMatrixView w, const stats::Gram& gram,
                    const Factor& factor, const OutputMetric& metric,
                    const scheme::GroupedInt& weight);

}  // namespace whit::quant
