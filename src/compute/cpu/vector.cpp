#include "compute/cpu/vector.h"

#include <bit>
#include <limits>

#include "compute/cpu/lanes.h"
#include "numeric/float_codec.h"

namespace whit::compute::cpu {

namespace {

constexpr std::int32_t kMagnitude = 0x7fffffff;  // all but the sign

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

void add_scaled_bf16(float factor, const float* in, std::uint16_t* inout, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i)
    inout[i] = numeric::f32_to_bf16(numeric::bf16_to_f32(inout[i]) + factor * in[i]);
}

WHIT_MULTIVERSION void triad(const float* a, float factor, const float* b, float* out,
                             std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) out[i] = a[i] + factor * b[i];
}

WHIT_MULTIVERSION double dot(const float* a, const float* b, std::int64_t size) {
  Doubles sums{};
  Floats x;
  Floats y;
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    load(a + i, x);
    load(b + i, y);
    sums += __builtin_convertvector(x, Doubles) * __builtin_convertvector(y, Doubles);
  }
  double sum = sum_lanes<double>(sums);
  for (; i < size; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

WHIT_MULTIVERSION double sum_of(const float* a, std::int64_t size) {
  Doubles sums{};
  Floats x;
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    load(a + i, x);
    sums += __builtin_convertvector(x, Doubles);
  }
  double sum = sum_lanes<double>(sums);
  for (; i < size; ++i) sum += static_cast<double>(a[i]);
  return sum;
}

WHIT_MULTIVERSION double sum_of_squares(const float* a, std::int64_t size) {
  Doubles sums{};
  Floats x;
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    load(a + i, x);
    const Doubles wide = __builtin_convertvector(x, Doubles);
    sums += wide * wide;
  }
  double sum = sum_lanes<double>(sums);
  for (; i < size; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(a[i]);
  return sum;
}

WHIT_MULTIVERSION float max_of(const float* a, std::int64_t size) {
  constexpr float kLeast = -std::numeric_limits<float>::infinity();
  Floats most = Floats{} + kLeast;
  Floats x;
  for (std::int64_t i = 0; i < size; i += kLanes) {
    if (i + kLanes <= size)
      load(a + i, x);
    else
      load_part(a + i, size - i, kLeast, x);
    most = x > most ? x : most;
  }
  return max_lane(most);
}

WHIT_MULTIVERSION void raise_to_magnitudes(const float* a, std::int32_t* most, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) {
    const std::int32_t bits = std::bit_cast<std::int32_t>(a[i]) & kMagnitude;
    most[i] = bits > most[i] ? bits : most[i];
  }
}

WHIT_MULTIVERSION std::int32_t largest_magnitude(const float* a, std::int64_t size) {
  std::int32_t most = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    const std::int32_t bits = std::bit_cast<std::int32_t>(a[i]) & kMagnitude;
    most = bits > most ? bits : most;
  }
  return most;
}

WHIT_MULTIVERSION void norm_row(const float* x, const float* w, float factor, float* out,
                                std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) out[i] = w[i] * (x[i] * factor);
}

WHIT_MULTIVERSION double exp_row(float* a, float shift, std::int64_t size) {
  Doubles sums{};
  Floats x;
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    load(a + i, x);
    exp_of(x - shift, x);
    store(x, a + i);
    sums += __builtin_convertvector(x, Doubles);
  }
  if (i < size) {
    load_part(a + i, size - i, -std::numeric_limits<float>::infinity(), x);
    exp_of(x - shift, x);
    store_part(x, size - i, a + i);
    sums += __builtin_convertvector(x, Doubles);
  }
  return sum_lanes<double>(sums);
}

WHIT_MULTIVERSION double sum_exp(const float* a, float shift, std::int64_t size) {
  Doubles sums{};
  Floats x;
  for (std::int64_t i = 0; i < size; i += kLanes) {
    if (i + kLanes <= size)
      load(a + i, x);
    else
      load_part(a + i, size - i, -std::numeric_limits<float>::infinity(), x);
    exp_of(x - shift, x);
    sums += __builtin_convertvector(x, Doubles);
  }
  return sum_lanes<double>(sums);
}

WHIT_MULTIVERSION void shifted_copy(const float* a, double shift, float* out, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i)
    out[i] = static_cast<float>(static_cast<double>(a[i]) - shift);
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
