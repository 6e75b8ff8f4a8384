#pragma once

#include "compute/cuda/context.h"

// Vectors::nearest, its arguments checked, into lists in device memory; guesses are of no use here.
// squares: null, or one a vector.
namespace whit::compute::cuda {

void find_nearest(const Context& context, ConstMatrixView x, ConstMatrixView centroids,
                  std::int32_t* labels, double* squares);

}  // namespace whit::compute::cuda
