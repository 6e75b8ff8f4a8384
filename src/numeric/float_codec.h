#pragma once

#include <bit>
#include <cstdint>

// The scalar truth of whit's small floats. Encoding rounds to nearest even; every function is
// constexpr so that host, device and tests share one definition.
namespace whit::numeric {

constexpr float bf16_to_f32(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

constexpr std::uint16_t f32_to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

constexpr float round_to_bf16(float value) {
  return bf16_to_f32(f32_to_bf16(value));
}

// A binary float of `kExponent` and `kMantissa` bits with IEEE meaning: the top exponent is
// infinity and NaN unless `kFinite`, where only all-ones is NaN (E4M3FN).
template <int kExponent, int kMantissa, bool kFinite>
struct SmallFloat {
  static constexpr int kBias = (1 << (kExponent - 1)) - 1;
  static constexpr std::uint32_t kTopExponent = (1u << kExponent) - 1;
  static constexpr std::uint32_t kMantissaMask = (1u << kMantissa) - 1;
  static constexpr std::uint32_t kSign = 1u << (kExponent + kMantissa);
  static constexpr std::uint32_t kNan =
      (kTopExponent << kMantissa) | (kFinite ? kMantissaMask : (1u << (kMantissa - 1)));
  static constexpr std::uint32_t kMaxFinite =
      kFinite ? ((kTopExponent << kMantissa) | (kMantissaMask - 1))
              : (((kTopExponent - 1) << kMantissa) | kMantissaMask);

  static constexpr float decode(std::uint32_t code) {
    const std::uint32_t exponent = (code >> kMantissa) & kTopExponent;
    const std::uint32_t mantissa = code & kMantissaMask;
    const std::uint32_t sign = (code & kSign) != 0 ? 0x80000000u : 0u;
    if (kFinite ? (exponent == kTopExponent && mantissa == kMantissaMask)
                : (exponent == kTopExponent && mantissa != 0))
      return std::bit_cast<float>(sign | 0x7fc00000u);
    if (!kFinite && exponent == kTopExponent) return std::bit_cast<float>(sign | 0x7f800000u);
    if (exponent == 0) {
      // mantissa * 2^(1-bias-kMantissa), exact in fp32.
      const float unit =
          std::bit_cast<float>(static_cast<std::uint32_t>(127 + 1 - kBias - kMantissa) << 23);
      const float magnitude = static_cast<float>(mantissa) * unit;
      return sign != 0 ? -magnitude : magnitude;
    }
    return std::bit_cast<float>(sign | ((exponent - kBias + 127) << 23) |
                                (mantissa << (23 - kMantissa)));
  }

  // `saturate`: values beyond the largest finite become it (torch's cast to E4M3FN gives NaN
  // instead, which whit never wants in a file).
  static constexpr std::uint32_t encode(float value, bool saturate = true) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = (bits >> 31) != 0 ? kSign : 0u;
    const std::uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return sign | kNan;
    const std::uint32_t overflow = kFinite ? kNan : (kTopExponent << kMantissa);
    if (magnitude == 0x7f800000u) return sign | (saturate ? kMaxFinite : overflow);
    const int exponent = static_cast<int>(magnitude >> 23) - 127;
    std::uint32_t code = 0;
    if (exponent < 1 - kBias) {
      // Subnormal: shift the significand (with its hidden bit) so that one unit is the last place.
      const int shift = 23 - kMantissa + (1 - kBias - exponent);
      if (shift > 25) return sign;
      const std::uint32_t significand =
          (magnitude & 0x7fffffu) | ((magnitude >> 23) != 0 ? 0x800000u : 0u);
      code = shift_right_even(significand, shift);
    } else {
      const std::uint32_t rebased = magnitude - (static_cast<std::uint32_t>(127 - kBias) << 23);
      code = shift_right_even(rebased, 23 - kMantissa);
    }
    if (code > kMaxFinite) return sign | (saturate ? kMaxFinite : overflow);
    return sign | code;
  }

 private:
  static constexpr std::uint32_t shift_right_even(std::uint32_t value, int shift) {
    const std::uint32_t kept = value >> shift;
    const std::uint32_t rest = value & ((1u << shift) - 1);
    const std::uint32_t half = 1u << (shift - 1);
    return kept + ((rest > half || (rest == half && (kept & 1u) != 0)) ? 1u : 0u);
  }
};

using Half = SmallFloat<5, 10, false>;
using Fp8E4M3 = SmallFloat<4, 3, true>;
using Fp8E5M2 = SmallFloat<5, 2, false>;

constexpr float f16_to_f32(std::uint16_t bits) {
  return Half::decode(bits);
}
// IEEE: overflow becomes infinity.
constexpr std::uint16_t f32_to_f16(float value) {
  return static_cast<std::uint16_t>(Half::encode(value, false));
}
constexpr float e4m3_to_f32(std::uint8_t bits) {
  return Fp8E4M3::decode(bits);
}
constexpr std::uint8_t f32_to_e4m3(float value) {
  return static_cast<std::uint8_t>(Fp8E4M3::encode(value));
}
constexpr float e5m2_to_f32(std::uint8_t bits) {
  return Fp8E5M2::decode(bits);
}
constexpr std::uint8_t f32_to_e5m2(float value) {
  return static_cast<std::uint8_t>(Fp8E5M2::encode(value));
}
constexpr float e8m0_to_f32(std::uint8_t bits) {
  return bits == 255 ? std::bit_cast<float>(0x7fc00000u)
         : bits == 0 ? std::bit_cast<float>(0x00400000u)
                     : std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 23);
}

inline constexpr float kE4M3Max = 448.0F;
inline constexpr float kE4M3MaxGaudi2 = 240.0F;
inline constexpr float kE5M2Max = 57344.0F;

static_assert(f32_to_e4m3(448.0F) == 0x7e && e4m3_to_f32(0x7e) == 448.0F);
static_assert(f32_to_e4m3(1e9F) == 0x7e && e4m3_to_f32(0x01) == 0x1p-9F);
static_assert(f32_to_f16(65504.0F) == 0x7bff && f16_to_f32(0x0001) == 0x1p-24F);

}  // namespace whit::numeric
