#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "compute/cpu/multiversion.h"

// Sixteen floats at once, in the compilers' own vector type: it becomes whatever registers the
// surrounding function was compiled for. Sums over lanes have one order everywhere.
namespace whit::compute::cpu {

inline constexpr int kLanes = 16;
using Floats = float __attribute__((vector_size(64)));
using Words = std::uint32_t __attribute__((vector_size(64)));
using Ints = std::int32_t __attribute__((vector_size(64)));
using Doubles = double __attribute__((vector_size(128)));

inline constexpr float kRound =
    12582912.0F;  // 1.5 * 2^23: adding and taking it away rounds to whole

WHIT_INLINE void load(const float* from, Floats& to) {
  std::memcpy(&to, from, sizeof(to));
}

// The first `count` < kLanes entries; the others become `fill`.
WHIT_INLINE void load_part(const float* from, std::int64_t count, float fill, Floats& to) {
  float all[kLanes];
  for (int j = 0; j < kLanes; ++j) all[j] = fill;
  for (std::int64_t j = 0; j < count; ++j) all[j] = from[j];
  std::memcpy(&to, all, sizeof(to));
}

WHIT_INLINE void store(const Floats& from, float* to) {
  std::memcpy(to, &from, sizeof(from));
}

WHIT_INLINE void store_part(const Floats& from, std::int64_t count, float* to) {
  float all[kLanes];
  std::memcpy(all, &from, sizeof(from));
  for (std::int64_t j = 0; j < count; ++j) to[j] = all[j];
}

template <typename Element, typename Vector>
WHIT_INLINE Element sum_lanes(const Vector& v) {
  Element lane[kLanes];
  std::memcpy(lane, &v, sizeof(v));
  Element eight[8];
  for (int j = 0; j < 8; ++j) eight[j] = lane[j] + lane[j + 8];
  return ((eight[0] + eight[4]) + (eight[2] + eight[6])) +
         ((eight[1] + eight[5]) + (eight[3] + eight[7]));
}

WHIT_INLINE float max_lane(const Floats& v) {
  float lane[kLanes];
  std::memcpy(lane, &v, sizeof(v));
  float most = lane[0];
  for (int j = 1; j < kLanes; ++j) most = lane[j] > most ? lane[j] : most;
  return most;
}

// rows[i][j] becomes rows[j][i]: four perfect shuffles of 16 vectors.
WHIT_INLINE void transpose(Floats (&rows)[kLanes]) {
  for (int round = 0; round < 4; ++round) {
    Floats next[kLanes];
    for (int i = 0; i < kLanes / 2; ++i) {
      const Floats& a = rows[i];
      const Floats& b = rows[i + kLanes / 2];
      next[2 * i] =
          __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      next[2 * i + 1] = __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29,
                                                14, 30, 15, 31);
    }
    for (int i = 0; i < kLanes; ++i) rows[i] = next[i];
  }
}

// 2^n for whole n in [-126, 127], given `shifted` = n + kRound.
WHIT_INLINE void power_of_two(const Floats& shifted, Floats& out) {
  Words bits;
  std::memcpy(&bits, &shifted, sizeof(bits));
  bits = (bits + 127U) << 23;
  std::memcpy(&out, &bits, sizeof(out));
}

// exp(x) by x = n ln 2 + r, |r| <= ln 2 / 2. 0 where the result would be subnormal; NaN stays NaN.
WHIT_INLINE void exp_of(const Floats& x, Floats& out) {
  const Floats high = x > 88.3762F ? Floats{} + 88.3762F : x;
  const Floats cut = high < -87.3365F ? Floats{} - 87.3365F : high;
  const Floats shifted = cut * 1.44269504F + kRound;
  const Floats n = shifted - kRound;
  const Floats r = (cut - n * 0.693359375F) - n * -2.12194440e-4F;
  Floats p = r * 1.9875691500e-4F + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  const Floats value = p * (r * r) + r + 1.0F;
  Floats power;
  power_of_two(shifted, power);
  out = x < -87.3365F ? Floats{} : value * power;
}

}  // namespace whit::compute::cpu
