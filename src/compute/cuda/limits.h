#pragma once

#include "compute/cuda/context.h"

namespace whit::compute::cuda {

// cuBLAS's own product of 8,192 cubed, of BF16 or of F32 numbers as the context's precision says,
// and a copy of 1 GiB.
Limits measure_limits(const Context& context);

}  // namespace whit::compute::cuda
