#pragma once

#include "numeric/dtype.h"
#include "numeric/float_codec.h"

namespace whit::numeric {

// The nearest value that BF16 or F16 holds; the value itself for every other dtype.
inline float round_to(float value, Dtype dtype) {
  if (dtype == Dtype::kBF16) return round_to_bf16(value);
  if (dtype == Dtype::kF16) return f16_to_f32(f32_to_f16(value));
  return value;
}

}  // namespace whit::numeric
