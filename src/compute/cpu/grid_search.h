#pragma once

#include <span>

#include "compute/host/grid.h"

namespace whit::compute::cpu {

// The grid of one group of args.group_size weights (Codec::fit_scales). column_weights: null, or
// one a weight. work: args.group_size floats.
host::GroupGrid fit_group(const float* w, const GridArgs& args, const float* column_weights,
                          float* work);

}  // namespace whit::compute::cpu
