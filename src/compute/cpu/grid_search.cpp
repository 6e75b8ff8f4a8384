#include "compute/cpu/grid_search.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

#include "compute/cpu/multiversion.h"

namespace whit::compute::cpu {

namespace {

constexpr int kLanes = 16;
constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding and taking it away rounds to whole

struct Candidate {
  float step;      // in units of the widest scale
  float per_step;  // 1 / step
  float lo;        // codes less zero
  float hi;
};

// e^2.4 = e² 2^(0.4 log2 e), for 0 <= e. Relative error below 1e-5, and 0 where e is 0: it weighs
// errors against each other and never reaches a result.
WHIT_INLINE float powered(float e) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(e);
  const float exponent = static_cast<float>(static_cast<std::int32_t>(bits >> 23) - 127);
  const float m = std::bit_cast<float>((bits & 0x7fffffU) | 0x3f800000U) - 1.0F;
  // log2(1 + m) on [0, 1): least squares at Chebyshev nodes, error 4e-07.
  float l = 0.015127916F;
  l = l * m - 0.0781582083F;
  l = l * m + 0.192385055F;
  l = l * m - 0.324616384F;
  l = l * m + 0.473113345F;
  l = l * m - 0.720515514F;
  l = l * m + 1.44266405F;
  l *= m;
  const float x = 0.4F * (exponent + l);
  const float shifted = x + kRound;
  const float r = (x - (shifted - kRound)) * 0.69314718F;
  float p = 8.3334519e-3F;
  p = p * r + 4.1665796e-2F;
  p = p * r + 1.6666665e-1F;
  p = p * r + 5.0e-1F;
  p = (p * r + 1.0F) * r + 1.0F;
  const float power = std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted) + 127U) << 23);
  return e * e * (p * power);
}

// |x - grid value| where x is in units of the widest scale.
WHIT_INLINE float distance(float x, const Candidate& grid) {
  const float code = x * grid.per_step;
  const float above = code > grid.lo ? code : grid.lo;
  const float inside = above < grid.hi ? above : grid.hi;
  const float rounded = (inside + kRound) - kRound;
  const float error = x - rounded * grid.step;
  return error < 0 ? -error : error;
}

WHIT_INLINE float sum_lanes(const float* lanes) {
  float eight[8];
  for (int j = 0; j < 8; ++j) eight[j] = lanes[j] + lanes[j + 8];
  return ((eight[0] + eight[4]) + (eight[2] + eight[6])) +
         ((eight[1] + eight[5]) + (eight[3] + eight[7]));
}

// Sum of |error|^2.4; stops where it is beyond `bound` already.
WHIT_MULTIVERSION float loss_of(const float* x, std::int64_t size, Candidate grid, float bound) {
  float lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) lanes[j] += powered(distance(x[i + j], grid));
    if ((i & 31) != 0 && sum_lanes(lanes) > bound) return std::numeric_limits<float>::infinity();
  }
  float sum = sum_lanes(lanes);
  for (; i < size; ++i) sum += powered(distance(x[i], grid));
  return sum;
}

// Sum of weight * error².
WHIT_MULTIVERSION float weighted_loss_of(const float* x, const float* weights, std::int64_t size,
                                         Candidate grid) {
  float lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      const float e = distance(x[i + j], grid);
      lanes[j] += weights[i + j] * (e * e);
    }
  }
  float sum = sum_lanes(lanes);
  for (; i < size; ++i) {
    const float e = distance(x[i], grid);
    sum += weights[i] * (e * e);
  }
  return sum;
}

WHIT_MULTIVERSION void divided(const float* w, float scale, float* out, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) out[i] = w[i] / scale;
}

WHIT_MULTIVERSION void range_of(const float* w, std::int64_t size, float* lowest, float* highest) {
  float lo[kLanes] = {};
  float hi[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      lo[j] = w[i + j] < lo[j] ? w[i + j] : lo[j];
      hi[j] = w[i + j] > hi[j] ? w[i + j] : hi[j];
    }
  }
  float least = 0;
  float most = 0;
  for (int j = 0; j < kLanes; ++j) {
    least = lo[j] < least ? lo[j] : least;
    most = hi[j] > most ? hi[j] : most;
  }
  for (; i < size; ++i) {
    least = w[i] < least ? w[i] : least;
    most = w[i] > most ? w[i] : most;
  }
  *lowest = least;
  *highest = most;
}

}  // namespace

host::GroupGrid fit_group(const float* w, const GridArgs& args, const float* column_weights,
                          float* work) {
  float lo = 0;
  float hi = 0;
  range_of(w, args.group_size, &lo, &hi);
  const host::GroupGrid widest = host::covering_grid(lo, hi, args);
  if (args.search == ScaleSearch::kAbsmax || (lo == 0 && hi == 0)) return widest;
  divided(w, widest.scale, work, args.group_size);
  host::GroupGrid best = widest;
  float least = std::numeric_limits<float>::infinity();
  for (int point = 0; point < host::kSearchPoints; ++point) {
    const float scale =
        host::storable_scale(widest.scale * host::search_factor(point), args.scale_dtype);
    const Candidate grid{scale / widest.scale, widest.scale / scale,
                         static_cast<float>(scheme::code_min(args.bits)) - widest.zero,
                         static_cast<float>(scheme::code_max(args.bits)) - widest.zero};
    const float loss = column_weights == nullptr
                           ? loss_of(work, args.group_size, grid, least)
                           : weighted_loss_of(work, column_weights, args.group_size, grid);
    if (loss < least) {
      least = loss;
      best.scale = scale;
    }
  }
  return best;
}

}  // namespace whit::compute::cpu
