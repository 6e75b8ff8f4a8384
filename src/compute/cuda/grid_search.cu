#include "compute/cuda/grid_search.h"
#include "compute/cuda/kernel.cuh"
#include "compute/host/grid.h"
#include "numeric/round_to.h"

namespace whit::compute::cuda {

namespace {

// What kernels need to know of GridArgs.
struct Search {
  Rows<const float> w;
  const float* column_weights;  // or null
  Rows<float> scales, zeros;    // zeros.data may be null
  std::int64_t groups, group_size;
  float steps, code_lo, code_hi;
  bool symmetric, mse, either_sign;
  tensor::Dtype scale_dtype;
  float least, largest;  // positive values of scale_dtype
};

__device__ float storable(const Search& s, float scale) {
  float value = scale;
  if (s.scale_dtype == tensor::Dtype::kBF16)
    value = numeric::round_to_bf16(scale);
  else if (s.scale_dtype == tensor::Dtype::kF16)
    value = numeric::f16_to_f32(numeric::f32_to_f16(scale));
  if (value < s.least) return s.least;
  return value > s.largest ? s.largest : value;
}

// host::covering_grid.
__device__ host::GroupGrid covering(const Search& s, float lo, float hi) {
  if (!(lo < 0) && !(hi > 0)) return {};
  if (s.symmetric) return {storable(s, (-lo > hi ? -lo : hi) / (0.5F * s.steps)), 0.0F};
  const float scale = storable(s, (hi - lo) / s.steps);
  const float zero = rintf(s.code_lo - lo / scale);
  return {scale, fminf(fmaxf(zero, s.code_lo), s.code_hi)};
}

struct Smaller {
  __device__ float operator()(float a, float b) const { return a < b ? a : b; }
};

// 1.5 * 2^23: adding and subtracting it rounds halves to even.
constexpr float kRound = 12582912.0F;

// Of an error: |e|^2.4 = 2^(1.2 log2(e²)), or weight * e².
__device__ float lost_by(float error, float weight, bool weighted) {
  const float square = error * error;
  return weighted ? weight * square
                  : exp2f(static_cast<float>(host::kSearchNorm) * 0.5F * __log2f(square));
}

// Two points of the search at once, each with its grid's scale: what the group loses.
struct Points {
  static constexpr int kCount = 2;
  float scale[kCount], inverse[kCount], loss[kCount];

  __device__ void add(float lo, float hi, float w, float weight, bool weighted) {
#pragma unroll
    for (int p = 0; p < kCount; ++p) {
      const float code = fminf(fmaxf((w * inverse[p] + kRound) - kRound, lo), hi);
      loss[p] += lost_by(w - code * scale[p], weight, weighted);
    }
  }
};

// A group on its way through the search; weights: null, or one a column.
struct Group {
  const float* w;
  const float* weights;
  host::GroupGrid widest;
  float lo, hi;  // codes less zero; mirrored where scales are negated
};

// What values beyond the grid's ends lose with this scale, and no less with any smaller one.
__device__ float lost_beyond(const Search& s, const Group& group, float scale) {
  const float lo = group.lo;
  const float hi = group.hi;
  const float inverse = inverse_of(scale);
  constexpr float kSurely = 0.51F;  // beyond half a step, whatever is rounded
  float sum = 0;
  for (std::int64_t k = threadIdx.x; k < s.group_size; k += kWarp) {
    const float w = group.w[k];
    if (!(fmaxf(w * inverse - hi, lo - w * inverse) > kSurely)) continue;
    const bool weighted = group.weights != nullptr;
    sum += lost_by(fmaxf(w - hi * scale, lo * scale - w), weighted ? group.weights[k] : 1.0F,
                   weighted);
  }
  return warp_reduce(sum, Plus{});
}

// What the group loses at the points; its weights pass by in shared memory.
__device__ void weigh(const Search& s, const Group& group, Points& points, float* shared) {
  const auto lane = static_cast<int>(threadIdx.x);
  const bool weighted = group.weights != nullptr;
  float* shared_weights = shared + kWarp;
  for (std::int64_t k = 0; k < s.group_size; k += kWarp) {
    __syncwarp();
    const bool there = k + lane < s.group_size;
    shared[lane] = there ? group.w[k + lane] : 0.0F;
    shared_weights[lane] = there && weighted ? group.weights[k + lane] : 0.0F;
    __syncwarp();
    const int count = static_cast<int>(min(s.group_size - k, static_cast<std::int64_t>(kWarp)));
    for (int i = 0; i < count; ++i)
      points.add(group.lo, group.hi, shared[i], shared_weights[i], weighted);
  }
}

// A warp searches the scales of one group, a lane every 32nd point, in rounds of 64. As on a CPU
// the search ends where what lies beyond the grid alone loses more than the best so far: `least` on
// entry, the chosen scale's on return. 0 where none is better.
__device__ float best_scale(const Search& s, const Group& group, float* shared, float& best) {
  const auto lane = static_cast<int>(threadIdx.x);
  const bool weighted = group.weights != nullptr;
  const auto scale_at = [&](int point) {
    return storable(s, group.widest.scale * host::search_factor(point, weighted));
  };
  constexpr float kClearly = 1.001F;  // more than sums in fp32 are wrong by
  float least = best;
  int chosen = host::kSearchPoints;
  for (int first = 0; first < host::kSearchPoints; first += Points::kCount * static_cast<int>(kWarp)) {
    if (first > 0) {
      const float so_far = -warp_reduce(-least, Larger{});
      if (lost_beyond(s, group, scale_at(first)) > kClearly * so_far) break;
    }
    Points points;
#pragma unroll
    for (int p = 0; p < Points::kCount; ++p) {
      const int point = first + p * static_cast<int>(kWarp) + lane;
      points.scale[p] = scale_at(min(point, host::kSearchPoints - 1));
      points.inverse[p] = inverse_of(points.scale[p]);
      points.loss[p] = 0;
    }
    weigh(s, group, points, shared);
#pragma unroll
    for (int p = 0; p < Points::kCount; ++p) {
      const int point = first + p * static_cast<int>(kWarp) + lane;
      if (point >= host::kSearchPoints || !(points.loss[p] < least)) continue;
      least = points.loss[p];
      chosen = point;
    }
  }
  for (unsigned distance = kWarp / 2; distance > 0; distance /= 2) {
    const float other = __shfl_xor_sync(kAllLanes, least, distance);
    const int theirs = __shfl_xor_sync(kAllLanes, chosen, distance);
    if (other < least || (other == least && theirs < chosen)) {
      least = other;
      chosen = theirs;
    }
  }
  best = least;
  return chosen < host::kSearchPoints ? scale_at(chosen) : 0.0F;
}

// The first of the best scales, positive ones first.
__device__ float searched_scale(const Search& s, Group group, float* shared) {
  float least = INFINITY;
  const float found = best_scale(s, group, shared, least);
  const float positive = found > 0 ? found : group.widest.scale;
  if (!s.either_sign) return positive;
  const float lo = group.lo;
  group.lo = -group.hi;
  group.hi = -lo;
  const float mirrored = best_scale(s, group, shared, least);
  return mirrored > 0 ? -mirrored : positive;
}

__device__ void search_group(const Search& s, std::int64_t at, float* shared) {
  const std::int64_t n = at / s.groups;
  const std::int64_t g = at % s.groups;
  const auto lane = static_cast<int>(threadIdx.x);
  const float* w = s.w[n] + g * s.group_size;
  float lo = 0;
  float hi = 0;
  for (std::int64_t k = lane; k < s.group_size; k += kWarp) {
    lo = fminf(lo, w[k]);
    hi = fmaxf(hi, w[k]);
  }
  lo = warp_reduce(lo, Smaller{});
  hi = warp_reduce(hi, Larger{});
  const float* weights = s.column_weights == nullptr ? nullptr : s.column_weights + g * s.group_size;
  const host::GroupGrid widest = covering(s, lo, hi);
  const Group group{w, weights, widest, s.code_lo - widest.zero, s.code_hi - widest.zero};
  const bool searched = s.mse && (lo != 0 || hi != 0);
  const float scale = searched ? searched_scale(s, group, shared) : widest.scale;
  if (lane != 0) return;
  s.scales[n][g] = scale;
  if (s.zeros.data != nullptr) s.zeros[n][g] = widest.zero;
}

constexpr unsigned kGroupsAtOnce = 8;

__global__ void search_kernel(Search s, std::int64_t count) {
  __shared__ float weights[kGroupsAtOnce][2 * kWarp];
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * kGroupsAtOnce + threadIdx.y;
  if (at < count) search_group(s, at, weights[threadIdx.y]);
}

}  // namespace

void search_grid(const Context& context, ConstMatrixView w, const GridArgs& args,
                 std::span<const float> column_weights, MatrixView scales, MatrixView zeros) {
  const Temporary<float> weights(context, column_weights);
  const Search search{rows_of<float>(w),
                      column_weights.empty() ? nullptr : weights.data(),
                      rows_of<float>(scales),
                      rows_of<float>(zeros),
                      scales.cols,
                      args.group_size,
                      static_cast<float>((1 << args.bits) - 1),
                      static_cast<float>(scheme::code_min(args.bits)),
                      static_cast<float>(scheme::code_max(args.bits)),
                      args.symmetric,
                      args.search == ScaleSearch::kMse,
                      host::signs_of(args) == 2,
                      args.scale_dtype,
                      host::storable_scale(0.0F, args.scale_dtype),
                      host::storable_scale(INFINITY, args.scale_dtype)};
  const std::int64_t count = w.rows * scales.cols;
  if (count == 0) return;
  search_kernel<<<static_cast<unsigned>(base::ceil_div<std::int64_t>(count, kGroupsAtOnce)),
                  dim3(kWarp, kGroupsAtOnce), 0, context.stream()>>>(search, count);
  context.launched("fit_scales");
}

}  // namespace whit::compute::cuda
