#pragma once

#include <cstdint>

#include "compute/backend.h"

namespace whit::compute::cpu {

// out = act(x) * times; times may be null (ones), out may be x. Errors relative to the result stay
// below 1e-6 except where it is smaller than exp(-40) of x.
void activate_row(Activation act, const float* x, const float* times, float* out,
                  std::int64_t size);

// a = cap * tanh(a / cap).
void softcap_row(float* a, float cap, std::int64_t size);

}  // namespace whit::compute::cpu
