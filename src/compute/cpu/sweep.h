#pragma once

#include "compute/backend.h"

namespace whit::compute::cpu {

// Codec::sweep_block: rows in parallel, a tile of them at once, so that the column recurrence runs
// over rows in vector lanes. A row's result does not depend on the rows beside it.
void sweep(int threads, const SweepArgs& args, ConstMatrixView t0, ConstMatrixView t,
           MatrixView codes, MatrixView error);

// Codes of one row of `size` weights on one group's grid.
void round_group(const float* w, float scale, float zero, int bits, std::int8_t* codes,
                 std::int64_t size);

}  // namespace whit::compute::cpu
