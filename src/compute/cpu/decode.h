#pragma once

#include <cstdint>

#include "compute/backend.h"

namespace whit::compute::cpu {

// One row (a 1 x n view) of F32, BF16, F16, F8_E4M3 or F8_E5M2 as floats; exact.
void decode_row(const ConstMatrixView& row, float* out);

// out = value of each FP8 code (E4M3, or E5M2) times `scale`; one rounding.
void decode_fp8(const std::uint8_t* codes, bool e4m3, float scale, float* out, std::int64_t size);

// out = (code - zero) * scale.
void decode_group(const std::int8_t* codes, float zero, float scale, float* out, std::int64_t size);

}  // namespace whit::compute::cpu
