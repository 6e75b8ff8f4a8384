#pragma once

#include "compute/cuda/context.h"

namespace whit::compute::cuda {

// Linalg::gram.
void add_gram(const Context& context, ConstMatrixView x, std::span<const float> row_weights,
              MatrixView g);

}  // namespace whit::compute::cuda
