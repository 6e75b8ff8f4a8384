#pragma once

#include <cstdint>

namespace whit::compute::cpu {

// Largest magnitude of `size` numbers; NaN where one is.
float magnitude_max(const float* x, std::int64_t size);

// codes = fp8(clamp(x / scale, +-limit)) in E4M3, or E5M2; the scalar truth of
// numeric/float_codec.h, without its branches.
void encode_fp8(const float* x, bool e4m3, float scale, float limit, std::uint8_t* codes,
                std::int64_t size);

// x = those codes' values times `scale`.
void round_fp8(float* x, bool e4m3, float scale, float limit, std::int64_t size);

}  // namespace whit::compute::cpu
