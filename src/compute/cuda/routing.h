#pragma once

#include "compute/cuda/context.h"

namespace whit::compute::cuda {

// Neural::route.
Routing route(const Context& context, ConstMatrixView logits, const float* bias,
              const RoutingArgs& args, std::vector<float>* scores_out);

}  // namespace whit::compute::cuda
