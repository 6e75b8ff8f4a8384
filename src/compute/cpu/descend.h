#pragma once

#include "compute/backend.h"

namespace whit::compute::cpu {

// Codec::descend_block: rows in parallel, a tile of them at once. A row's result does not depend on
// the rows beside it.
void descend(int threads, const DescentArgs& args, ConstMatrixView gradient, MatrixView codes,
             MatrixView error);

}  // namespace whit::compute::cpu
