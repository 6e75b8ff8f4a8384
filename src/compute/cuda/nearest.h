#pragma once

#include "compute/cuda/context.h"

// Vectors::nearest, its arguments checked, on lists in device memory. labels: guesses on entry;
// guessed: whether all of them may be expected to be good. squares: null, or one a vector.
namespace whit::compute::cuda {

void find_nearest(const Context& context, ConstMatrixView x, ConstMatrixView centroids,
                  bool guessed, std::int32_t* labels, double* squares);

}  // namespace whit::compute::cuda
