#pragma once

#include "compute/cuda/context.h"

// Codec::sweep_block and descend_block, their arguments checked; the two of row blocks where rows
// see each other too.
namespace whit::compute::cuda {

void sweep(const Context& context, const SweepArgs& args, ConstMatrixView t0, ConstMatrixView t,
           MatrixView codes, MatrixView error);
void descend(const Context& context, const DescentArgs& args, ConstMatrixView gradient,
             MatrixView codes, MatrixView error);
void sweep_row_blocks(const Context& context, const SweepArgs& args, ConstMatrixView t0,
                      ConstMatrixView t, MatrixView codes, MatrixView error);
void descend_row_blocks(const Context& context, const DescentArgs& args, ConstMatrixView gradient,
                        MatrixView codes, MatrixView error);

}  // namespace whit::compute::cuda
