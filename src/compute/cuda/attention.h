#pragma once

#include "compute/cuda/context.h"

namespace whit::compute::cuda {

// Neural::attention.
void attend(const Context& context, const AttentionArgs& args, MatrixView out);

}  // namespace whit::compute::cuda
