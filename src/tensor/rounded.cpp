#include "tensor/rounded.h"

#include <utility>

#include "base/error.h"
#include "numeric/float_codec.h"

namespace whit::tensor {

Tensor make_rounded(Shape shape, std::span<const float> values, Dtype dtype) {
  if (dtype == Dtype::kF32) return make_f32(std::move(shape), values);
  base::check(dtype == Dtype::kBF16 || dtype == Dtype::kF16, "make_rounded: F32, BF16 or F16");
  Tensor out(std::move(shape), dtype);
  auto* bits = out.as<std::uint16_t>();
  for (std::size_t i = 0; i < values.size(); ++i)
    bits[i] =
        dtype == Dtype::kBF16 ? numeric::f32_to_bf16(values[i]) : numeric::f32_to_f16(values[i]);
  return out;
}

}  // namespace whit::tensor
