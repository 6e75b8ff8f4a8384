#pragma once

#include <cstdint>

#include "compute/backend.h"

namespace whit::compute::cpu {

// out = act(x) * times; times may be null (ones), out may be x. |relative error| < (16 + 4 a)
// 2^-24, a the size of the exponential's argument: 0 for kRelu, |x| for kSilu, at most 11 for the
// two GELUs of |x| < 4.
void activate_row(Activation act, const float* x, const float* times, float* out,
                  std::int64_t size);

// a = cap * tanh(a / cap).
void softcap_row(float* a, float cap, std::int64_t size);

}  // namespace whit::compute::cpu
