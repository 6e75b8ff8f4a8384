#include "compute/cpu/vector.h"

#include <bit>
#include <limits>

#include "compute/cpu/multiversion.h"

namespace whit::compute::cpu {

namespace {

constexpr int kLanes = 16;

// exp(x) by x = n ln 2 + r, |r| <= ln 2 / 2; the argument is cut to where the result is a normal
// number (below, 0). NaN stays NaN.
WHIT_INLINE float exp_of(float x) {
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding and taking it away rounds to whole
  const float high = x > 88.3762F ? 88.3762F : x;
  const float cut = high < -87.3365F ? -87.3365F : high;
  const float shifted = cut * 1.44269504F + kRound;
  const float n = shifted - kRound;
  const float r = (cut - n * 0.693359375F) - n * -2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  const float value = p * (r * r) + r + 1.0F;
  const std::uint32_t exponent = (std::bit_cast<std::uint32_t>(shifted) + 127U) << 23;
  const float result = value * std::bit_cast<float>(exponent);
  return x < -87.3365F ? 0.0F : result;
}

template <typename T>
WHIT_INLINE T sum_lanes(const T* lanes) {
  T eight[8];
  for (int j = 0; j < 8; ++j) eight[j] = lanes[j] + lanes[j + 8];
  return ((eight[0] + eight[4]) + (eight[2] + eight[6])) +
         ((eight[1] + eight[5]) + (eight[3] + eight[7]));
}

}  // namespace

WHIT_MULTIVERSION void add_to(float* a, const float* b, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) a[i] += b[i];
}

WHIT_MULTIVERSION void scale_add(float alpha, float* a, float beta, const float* b,
                                 std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) a[i] = alpha * a[i] + beta * b[i];
}

WHIT_MULTIVERSION void scaled_copy(float factor, const float* in, float* out, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) out[i] = factor * in[i];
}

WHIT_MULTIVERSION void add_scaled(float factor, const float* in, float* inout, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) inout[i] += factor * in[i];
}

WHIT_MULTIVERSION double dot(const float* a, const float* b, std::int64_t size) {
  double lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes)
    for (int j = 0; j < kLanes; ++j)
      lanes[j] += static_cast<double>(a[i + j]) * static_cast<double>(b[i + j]);
  double sum = sum_lanes(lanes);
  for (; i < size; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

WHIT_MULTIVERSION double sum_of_squares(const float* a, std::int64_t size) {
  double lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes)
    for (int j = 0; j < kLanes; ++j)
      lanes[j] += static_cast<double>(a[i + j]) * static_cast<double>(a[i + j]);
  double sum = sum_lanes(lanes);
  for (; i < size; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(a[i]);
  return sum;
}

WHIT_MULTIVERSION float max_of(const float* a, std::int64_t size) {
  float lanes[kLanes];
  for (float& lane : lanes) lane = -std::numeric_limits<float>::infinity();
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes)
    for (int j = 0; j < kLanes; ++j) lanes[j] = a[i + j] > lanes[j] ? a[i + j] : lanes[j];
  float largest = lanes[0];
  for (int j = 1; j < kLanes; ++j) largest = lanes[j] > largest ? lanes[j] : largest;
  for (; i < size; ++i) largest = a[i] > largest ? a[i] : largest;
  return largest;
}

WHIT_MULTIVERSION void norm_row(const float* x, const float* w, float factor, float* out,
                                std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) out[i] = w[i] * (x[i] * factor);
}

WHIT_MULTIVERSION double exp_row(float* a, float shift, std::int64_t size) {
  double lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) a[i + j] = exp_of(a[i + j] - shift);
    for (int j = 0; j < kLanes; ++j) lanes[j] += static_cast<double>(a[i + j]);
  }
  double sum = sum_lanes(lanes);
  for (; i < size; ++i) {
    a[i] = exp_of(a[i] - shift);
    sum += static_cast<double>(a[i]);
  }
  return sum;
}

WHIT_MULTIVERSION double sum_exp(const float* a, float shift, std::int64_t size) {
  double lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes)
    for (int j = 0; j < kLanes; ++j) lanes[j] += static_cast<double>(exp_of(a[i + j] - shift));
  double sum = sum_lanes(lanes);
  for (; i < size; ++i) sum += static_cast<double>(exp_of(a[i] - shift));
  return sum;
}

WHIT_MULTIVERSION void subtract(float* a, double shift, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i)
    a[i] = static_cast<float>(static_cast<double>(a[i]) - shift);
}

WHIT_MULTIVERSION void silu_mul_row(const float* gate, const float* up, float* out,
                                    std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) out[i] = gate[i] / (1.0F + exp_of(-gate[i])) * up[i];
}

WHIT_MULTIVERSION void rotate_halves(float* a, float* b, const float* c, const float* s,
                                     std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) {
    const float first = a[i];
    const float second = b[i];
    a[i] = first * c[i] - second * s[i];
    b[i] = second * c[i] + first * s[i];
  }
}

WHIT_MULTIVERSION void rotate_pairs(float* a, const float* c, const float* s, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) {
    const float first = a[2 * i];
    const float second = a[2 * i + 1];
    a[2 * i] = first * c[i] - second * s[i];
    a[2 * i + 1] = second * c[i] + first * s[i];
  }
}

WHIT_MULTIVERSION void divide_by(float* a, const float* b, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) a[i] /= b[i];
}

}  // namespace whit::compute::cpu
