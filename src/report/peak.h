#pragma once

#include "compute/backend.h"

namespace whit::report {

// The backend's fp32 limit, flop/s: the best of a few products of two square matrices.
double measure_gemm_peak(compute::Backend& backend);

}  // namespace whit::report
