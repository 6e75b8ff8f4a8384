#pragma once

#include <cstdint>

#include "compute/backend.h"

namespace whit::compute::host {

// Refuses arguments that no token could be routed with. Errors: kInput.
void check_routing(std::int64_t experts, const RoutingArgs& args);

// Routes one token (Neural::route): fp32 scores from double-precision exponentials.
// logits, bias (may be null), scores: `experts` values; chosen, weights: args.top_k values.
void route_token(const float* logits, const float* bias, std::int64_t experts,
                 const RoutingArgs& args, float* scores, std::int32_t* chosen, float* weights);

}  // namespace whit::compute::host
