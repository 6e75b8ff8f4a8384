#pragma once

#include <span>

#include "tensor/tensor.h"

namespace whit::tensor {

// `values` in C order as F32, BF16 or F16, each to the nearest number of the dtype, halves to even.
// Errors: kBug for other dtypes.
Tensor make_rounded(Shape shape, std::span<const float> values, Dtype dtype);

}  // namespace whit::tensor
