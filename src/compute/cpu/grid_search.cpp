#include "compute/cpu/grid_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/checked.h"
#include "compute/cpu/lanes.h"
#include "numeric/float_codec.h"

// The search weighs up to a hundred scales a group and sign. It is exhaustive, but for what cannot
// win: the loss of values beyond the grid's end only grows as the scale shrinks, so the first scale
// at which that part alone is worse than the best so far ends the search. Large values come first,
// so that losing scales are given up early. Scales that come too close to tell apart with
// polynomials are weighed again in double precision, so that the choice is the reference's.
namespace whit::compute::cpu {

namespace {

constexpr int kPoints = host::kSearchPoints;
constexpr int kPadded = (kPoints + kLanes - 1) / kLanes * kLanes;
// Distances up to half a step are inside the grid; a little more still is, by rounding.
constexpr float kInside = 0.5002F;

// What the losses below may be wrong by: each value inside the grid, the whole relative to itself,
// and the same for each code of the grid's range (a quotient in fp32 is the less exact the larger).
constexpr float kInsideError = 1.3e-5F;
constexpr float kRelativeError = 2e-5F;
constexpr float kCodeError = 4e-7F;

struct Grid {
  float per_step;  // 1 / step, the step in units of the widest scale
  float lo;        // codes less zero
  float hi;
};

struct Loss {
  float all;
  float clipped;  // the part of values beyond the grid
};

// d^2.4 = d² 2^(0.4 log2 d), for d >= 0. Relative error below 1e-5.
WHIT_INLINE void powered(const Floats& d, Floats& out) {
  Words bits;
  std::memcpy(&bits, &d, sizeof(bits));
  const Ints biased = __builtin_convertvector(bits >> 23, Ints) - 127;
  const Floats exponent = __builtin_convertvector(biased, Floats);
  const Words mantissa = (bits & 0x7fffffU) | 0x3f800000U;
  Floats m;
  std::memcpy(&m, &mantissa, sizeof(m));
  m -= 1.0F;
  // log2(1 + m) on [0, 1): least squares at Chebyshev nodes, error 4e-7.
  Floats l = m * 0.015127916F - 0.0781582083F;
  l = l * m + 0.192385055F;
  l = l * m - 0.324616384F;
  l = l * m + 0.473113345F;
  l = l * m - 0.720515514F;
  l = l * m + 1.44266405F;
  const Floats x = (exponent + l * m) * 0.4F;
  const Floats shifted = x + kRound;
  const Floats r = (x - (shifted - kRound)) * 0.69314718F;
  Floats p = r * 8.3334519e-3F + 4.1665796e-2F;
  p = p * r + 1.6666665e-1F;
  p = p * r + 5.0e-1F;
  p = (p * r + 1.0F) * r + 1.0F;
  Floats power;
  power_of_two(shifted, power);
  out = d * d * (p * power);
}

// d^2.4 on [0, 0.5]: d² times a polynomial of degree 5, |error| < 1.2e-5.
WHIT_INLINE void powered_inside(const Floats& d, Floats& out) {
  Floats p = d * 16.2115611F - 30.2318872F;
  p = p * d + 23.0159075F;
  p = p * d - 9.53557327F;
  p = p * d + 2.93874989F;
  p = p * d + 0.17831493F;
  out = d * d * p;
}

// Distance of x from its grid value, in steps.
WHIT_INLINE void distance(const Floats& x, const Grid& grid, Floats& out) {
  const Floats code = x * grid.per_step;
  const Floats rounded = (code + kRound) - kRound;
  const Floats above = rounded > grid.lo ? rounded : Floats{} + grid.lo;
  const Floats inside = above < grid.hi ? above : Floats{} + grid.hi;
  const Floats signed_distance = code - inside;
  Words bits;
  std::memcpy(&bits, &signed_distance, sizeof(bits));
  bits &= 0x7fffffffU;
  std::memcpy(&out, &bits, sizeof(out));
}

template <bool kWeighted>
WHIT_INLINE Loss loss_of(const float* x, const float* weights, const float* largest,
                         std::int64_t padded, const Grid& grid, float bound) {
  const float end = (grid.hi < -grid.lo ? grid.hi : -grid.lo) + kInside;
  Floats sums{};
  Floats clipped{};
  for (std::int64_t i = 0; i < padded; i += kLanes) {
    Floats value;
    Floats d;
    load(x + i, value);
    distance(value, grid, d);
    const bool all_inside = largest[i / kLanes] * grid.per_step < end;
    if constexpr (kWeighted) {
      load(weights + i, value);
      value *= d * d;
    } else if (all_inside) {
      powered_inside(d, value);
    } else {
      powered(d, value);
    }
    sums += value;
    if (all_inside) continue;
    clipped += d > kInside ? value : Floats{};
    const float so_far = sum_lanes<float>(sums);
    if (so_far > bound) return {so_far, sum_lanes<float>(clipped)};
  }
  return {sum_lanes<float>(sums), sum_lanes<float>(clipped)};
}

WHIT_MULTIVERSION Loss plain_loss(const float* x, const float* largest, std::int64_t padded,
                                  const Grid& grid, float bound) {
  return loss_of<false>(x, nullptr, largest, padded, grid, bound);
}

WHIT_MULTIVERSION Loss weighted_loss(const float* x, const float* weights, const float* largest,
                                     std::int64_t padded, const Grid& grid, float bound) {
  return loss_of<true>(x, weights, largest, padded, grid, bound);
}

// The candidate scales of one group; `step` is the scale over the widest one.
struct Ladder {
  float scale[kPadded];
  float step[kPadded];
  float unit[kPadded];  // step to the power of the norm
};

WHIT_MULTIVERSION void make_ladder(const host::GroupGrid& widest, bool weighted, Ladder& ladder) {
  for (int i = 0; i < kPadded; ++i) ladder.step[i] = ladder.scale[i] / widest.scale;
  for (int i = 0; i < kPadded; i += kLanes) {
    Floats step;
    Floats unit;
    load(ladder.step + i, step);
    if (weighted)
      unit = step * step;
    else
      powered(step, unit);
    store(unit, ladder.unit + i);
  }
}

WHIT_MULTIVERSION void range_of(const float* w, std::int64_t size, float* lowest, float* highest) {
  Floats lo{};
  Floats hi{};
  Floats x;
  for (std::int64_t i = 0; i < size; i += kLanes) {
    if (i + kLanes <= size)
      load(w + i, x);
    else
      load_part(w + i, size - i, 0.0F, x);
    lo = x < lo ? x : lo;
    hi = x > hi ? x : hi;
  }
  *lowest = -max_lane(-lo);
  *highest = max_lane(hi);
}

// Lays out the group in `work`: divided by the widest scale, in 16 classes of falling size.
void arrange(const float* w, std::int64_t size, float scale, float largest, const float* weights,
             SearchWork& work) {
  constexpr int kClasses = 16;
  const auto class_of = [&](float value) {
    const float at = std::abs(value) / largest * kClasses;
    return kClasses - 1 - static_cast<int>(at < kClasses - 1 ? at : kClasses - 1);
  };
  std::int64_t next[kClasses + 1] = {};
  for (std::int64_t i = 0; i < size; ++i) ++next[class_of(w[i]) + 1];
  for (int c = 0; c < kClasses; ++c) next[c + 1] += next[c];
  for (std::int64_t i = 0; i < size; ++i) {
    const std::int64_t to = next[class_of(w[i])]++;
    work.x()[to] = w[i] / scale;
    if (weights != nullptr) work.weights()[to] = weights[i];
  }
  for (std::int64_t i = 0; i < work.padded(); i += kLanes) {
    float most = 0;
    for (std::int64_t j = i; j < i + kLanes; ++j) most = std::max(most, std::abs(work.x()[j]));
    work.largest()[i / kLanes] = most;
  }
}

// What each candidate loses at least and at most, given what the polynomials may be wrong by: the
// ladder's scales, then the same with the other sign.
struct Bounds {
  float low[2 * kPoints];  // infinite where it was given up
  float least_high = std::numeric_limits<float>::infinity();
};

// The ladder's scales in turn; negated, the codes' range is mirrored.
void climb(const GridArgs& args, const float* column_weights, const host::GroupGrid& widest,
           const Ladder& ladder, bool negated, SearchWork& work, Bounds& bounds) {
  const float doubt =
      column_weights == nullptr ? kInsideError * static_cast<float>(args.group_size) : 0.0F;
  const float relative = kRelativeError + kCodeError * static_cast<float>(1 << args.bits);
  const float lo = static_cast<float>(scheme::code_min(args.bits)) - widest.zero;
  const float hi = static_cast<float>(scheme::code_max(args.bits)) - widest.zero;
  float* low = bounds.low + (negated ? kPoints : 0);
  for (int i = 0; i < kPoints; ++i) {
    if (i > 0 && ladder.scale[i] == ladder.scale[i - 1]) continue;
    const Grid grid{1.0F / ladder.step[i], negated ? -hi : lo, negated ? -lo : hi};
    const float bound = bounds.least_high / ladder.unit[i] * (1 + relative) + doubt;
    const Loss loss =
        column_weights == nullptr
            ? plain_loss(work.x(), work.largest(), work.padded(), grid, bound)
            : weighted_loss(work.x(), work.weights(), work.largest(), work.padded(), grid, bound);
    low[i] = (loss.all * (1 - relative) - doubt) * ladder.unit[i];
    bounds.least_high =
        std::min(bounds.least_high, (loss.all * (1 + relative) + doubt) * ladder.unit[i]);
    if (loss.clipped * (1 - relative) * ladder.unit[i] > bounds.least_high) break;
  }
}

// The first of the best candidates: those that the bounds leave are weighed in double precision.
host::GroupGrid settle(const float* w, const GridArgs& args, const float* column_weights,
                       const host::GroupGrid& widest, const Ladder& ladder, const Bounds& bounds) {
  host::GroupGrid best = widest;
  bool found = false;
  double least = std::numeric_limits<double>::infinity();
  const auto left = std::count_if(bounds.low, bounds.low + 2 * kPoints,
                                  [&](float low) { return low <= bounds.least_high; });
  for (int i = 0; i < 2 * kPoints; ++i) {
    if (bounds.low[i] > bounds.least_high) continue;
    const host::GroupGrid grid{i < kPoints ? ladder.scale[i] : -ladder.scale[i - kPoints],
                               widest.zero};
    if (left == 1) return grid;
    const double loss = host::group_loss(w, args, grid, column_weights);
    if (loss < least || !found) {
      least = loss;
      best = grid;
      found = true;
    }
  }
  return best;
}

}  // namespace

SearchWork::SearchWork(std::int64_t size)
    : x_(static_cast<std::size_t>(base::round_up<std::int64_t>(size, kLanes))),
      weights_(x_.size()),
      largest_(x_.size() / kLanes) {}

host::GroupGrid fit_group(const float* w, const GridArgs& args, const float* column_weights,
                          SearchWork& work) {
  float lo = 0;
  float hi = 0;
  range_of(w, args.group_size, &lo, &hi);
  const host::GroupGrid widest = host::covering_grid(lo, hi, args);
  if (args.search == ScaleSearch::kAbsmax || (lo == 0 && hi == 0)) return widest;
  arrange(w, args.group_size, widest.scale, std::max(-lo, hi), column_weights, work);
  Ladder ladder;
  for (int i = 0; i < kPadded; ++i)
    ladder.scale[i] = host::storable_scale(
        widest.scale * host::search_factor(std::min(i, kPoints - 1), column_weights != nullptr),
        args.scale_dtype);
  make_ladder(widest, column_weights != nullptr, ladder);
  Bounds bounds;
  std::fill_n(bounds.low, 2 * kPoints, std::numeric_limits<float>::infinity());
  climb(args, column_weights, widest, ladder, false, work, bounds);
  if (host::signs_of(args) == 2) climb(args, column_weights, widest, ladder, true, work, bounds);
  return settle(w, args, column_weights, widest, ladder, bounds);
}

}  // namespace whit::compute::cpu
