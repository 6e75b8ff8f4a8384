#pragma once

#include "compute/cuda/context.h"

namespace whit::compute::cuda {

// Vectors::sweep, its arguments checked. Errors: kUnsupported where chunks are longer than 32 rows.
void sweep_vectors(const Context& context, const VectorSweepArgs& args, ConstMatrixView t0,
                   ConstMatrixView t, MatrixView indices, MatrixView residual_indices,
                   MatrixView error);
[[noreturn]] void fail_length(std::int64_t length, std::int64_t longest);  // kUnsupported

}  // namespace whit::compute::cuda
