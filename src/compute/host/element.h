#pragma once

#include <cstdint>

#include "base/error.h"
#include "numeric/float_codec.h"
#include "tensor/tensor.h"

// Single elements of host matrices, whatever their float type.
namespace whit::compute::host {

// Element (i, j) of a F32, BF16, F16, F8_E4M3 or F8_E5M2 matrix; exact.
inline float element(const tensor::ConstMatrixView& m, std::int64_t i, std::int64_t j) {
  switch (m.dtype) {
    case tensor::Dtype::kF32:
      return m.row<float>(i)[j];
    case tensor::Dtype::kBF16:
      return numeric::bf16_to_f32(m.row<std::uint16_t>(i)[j]);
    case tensor::Dtype::kF16:
      return numeric::f16_to_f32(m.row<std::uint16_t>(i)[j]);
    case tensor::Dtype::kF8E4M3:
      return numeric::e4m3_to_f32(m.row<std::uint8_t>(i)[j]);
    case tensor::Dtype::kF8E5M2:
      return numeric::e5m2_to_f32(m.row<std::uint8_t>(i)[j]);
    default:
      break;
  }
  base::fail(base::ErrorKind::kUnsupported, "compute", "elements of type {}; expected a float type",
             numeric::name_of(m.dtype));
}

}  // namespace whit::compute::host
