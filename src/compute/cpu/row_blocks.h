#pragma once

#include "compute/backend.h"

// Codec::sweep_block and descend_block where the rows of a block see each other: blocks in
// parallel, inside one column after the other and row after row.
namespace whit::compute::cpu {

void sweep_row_blocks(int threads, const SweepArgs& args, ConstMatrixView t0, ConstMatrixView t,
                      MatrixView codes, MatrixView error);
void descend_row_blocks(int threads, const DescentArgs& args, ConstMatrixView gradient,
                        MatrixView codes, MatrixView error);

}  // namespace whit::compute::cpu
