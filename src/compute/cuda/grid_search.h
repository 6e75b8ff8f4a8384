#pragma once

#include "compute/cuda/context.h"

namespace whit::compute::cuda {

// Codec::fit_scales, its arguments checked.
void search_grid(const Context& context, ConstMatrixView w, const GridArgs& args,
                 std::span<const float> column_weights, MatrixView scales, MatrixView zeros);

}  // namespace whit::compute::cuda
