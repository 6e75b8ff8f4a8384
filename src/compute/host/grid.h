#pragma once

#include <cmath>
#include <cstdint>
#include <span>

#include "compute/backend.h"

// The arithmetic of integer grids that every host implementation shares (compressed-tensors'
// conventions; the search is MoE-Quant's, with its swapped minimum and maximum put right).
namespace whit::compute::host {

// The search multiplies a group's absmax scale by kSearchPoints factors from 1 (with column weights
// kWeightedFirst) down to kSearchLast, and keeps the first of those with the least sum of
// |error|^kSearchNorm (or of weight * error^2); then, where a scale may have either sign, the same
// negated.
inline constexpr int kSearchPoints = 100;
inline constexpr float kSearchLast = 0.2F;
inline constexpr float kWeightedFirst = 1.05F;
inline constexpr double kSearchNorm = 2.4;

constexpr float search_factor(int point, bool weighted) {
  const float first = weighted ? kWeightedFirst : 1.0F;
  return first - static_cast<float>(point) * ((first - kSearchLast) / (kSearchPoints - 1));
}

// How many signs a scale may have: 2, positive ones searched first.
constexpr int signs_of(const GridArgs& args) {
  return args.either_sign && args.symmetric ? 2 : 1;
}

// The value of `dtype` (F32, BF16, F16) next to a positive scale: never 0, never infinite.
float storable_scale(float scale, tensor::Dtype dtype);

struct GroupGrid {
  float scale = 1;
  float zero = 0;  // a whole number in [-2^(bits-1), 2^(bits-1)-1]
};

// The grid that covers [lo, hi] (lo <= 0 <= hi): symmetric scale max(-lo, hi) / ((2^bits-1)/2),
// zero 0; else scale (hi-lo)/(2^bits-1). A range of only 0 has scale 1.
GroupGrid covering_grid(float lo, float hi, const GridArgs& args);

// clamp(round_half_even(value/scale) + zero), as a float.
inline float code_of(float value, float scale, float zero, float lo, float hi) {
  const float code = std::nearbyint(value / scale) + zero;
  const float above = code > lo ? code : lo;
  return above < hi ? above : hi;
}

// What args.group_size weights lose on the grid, summed in double precision: |error|^kSearchNorm,
// or weight * error^2 where column_weights (one a weight) is not null.
double group_loss(const float* w, const GridArgs& args, const GroupGrid& grid,
                  const float* column_weights);

// Number of groups of a row. Errors: kUnsupported where the group size does not divide the columns,
// or bits are not 1..8.
std::int64_t checked_groups(std::int64_t cols, const GridArgs& args);
// The same, and kBug where what Codec::fit_scales or round_to_grid is given does not fit w.
std::int64_t checked_fit(ConstMatrixView w, const GridArgs& args,
                         std::span<const float> column_weights, ConstMatrixView scales);
std::int64_t checked_rounding(ConstMatrixView w, const GridArgs& args, ConstMatrixView scales,
                              ConstMatrixView codes);

}  // namespace whit::compute::host
