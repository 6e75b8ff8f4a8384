#include "compute/cpu/encode_fp8.h"

#include <algorithm>
#include <array>
#include <bit>

#include "compute/cpu/decode.h"
#include "compute/cpu/multiversion.h"
#include "numeric/float_codec.h"

namespace whit::compute::cpu {

namespace {

// Of a format with kMantissa bits of fraction: normal numbers are rounded by adding half of the
// last kept place to their bits; numbers below kNormal by adding kMagic, whose last place is the
// format's smallest step.
template <int kMantissa, int kBias, std::uint32_t kNan>
WHIT_INLINE std::uint32_t code_of(float value) {
  constexpr int kDropped = 23 - kMantissa;
  constexpr std::uint32_t kRebase = static_cast<std::uint32_t>(127 - kBias) << kMantissa;
  constexpr std::uint32_t kNormal = static_cast<std::uint32_t>(127 + 1 - kBias) << 23;
  constexpr std::uint32_t kMagic = static_cast<std::uint32_t>(127 + 1 - kBias + kDropped) << 23;
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 24) & 0x80U;
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  const std::uint32_t half = (1U << (kDropped - 1)) - 1 + ((magnitude >> kDropped) & 1U);
  const std::uint32_t normal = ((magnitude + half) >> kDropped) - kRebase;
  const float lifted = std::bit_cast<float>(magnitude) + std::bit_cast<float>(kMagic);
  const std::uint32_t small = std::bit_cast<std::uint32_t>(lifted) - kMagic;
  const std::uint32_t finite = magnitude < kNormal ? small : normal;
  return sign | (magnitude > 0x7f800000U ? kNan : finite);
}

constexpr std::uint32_t kNanE4M3 = numeric::Fp8E4M3::kNan;
constexpr std::uint32_t kNanE5M2 = numeric::Fp8E5M2::kNan;

// Passes NaN on.
WHIT_INLINE float clamped(float value, float limit) {
  const float low = value < -limit ? -limit : value;
  return low > limit ? limit : low;
}

}  // namespace

// Magnitudes order as their bits do, NaN last.
WHIT_MULTIVERSION float magnitude_max(const float* x, std::int64_t size) {
  std::uint32_t most = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    const std::uint32_t magnitude = std::bit_cast<std::uint32_t>(x[i]) & 0x7fffffffU;
    most = magnitude > most ? magnitude : most;
  }
  return std::bit_cast<float>(most);
}

WHIT_MULTIVERSION void encode_fp8(const float* x, bool e4m3, float scale, float limit,
                                  std::uint8_t* codes, std::int64_t size) {
  if (e4m3)
    for (std::int64_t i = 0; i < size; ++i)
      codes[i] = static_cast<std::uint8_t>(code_of<3, 7, kNanE4M3>(clamped(x[i] / scale, limit)));
  else
    for (std::int64_t i = 0; i < size; ++i)
      codes[i] = static_cast<std::uint8_t>(code_of<2, 15, kNanE5M2>(clamped(x[i] / scale, limit)));
}

void round_fp8(float* x, bool e4m3, float scale, float limit, std::int64_t size) {
  std::array<std::uint8_t, 1024> codes;
  for (std::int64_t i = 0; i < size; i += static_cast<std::int64_t>(codes.size())) {
    const auto count = std::min<std::int64_t>(static_cast<std::int64_t>(codes.size()), size - i);
    encode_fp8(x + i, e4m3, scale, limit, codes.data(), count);
    decode_fp8(codes.data(), e4m3, scale, x + i, count);
  }
}

}  // namespace whit::compute::cpu
