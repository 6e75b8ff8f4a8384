#include "compute/cuda/routing.h"

#include <optional>

#include "compute/cuda/kernel.cuh"
#include "compute/host/routing.h"

namespace whit::compute::cuda {

namespace {

constexpr unsigned kTokensAtOnce = 4;  // of a block, one a warp

struct Router {
  Rows<const float> logits;
  const float* bias;  // or null
  std::int64_t tokens, experts, top_k, groups, groups_kept, group_best;
  bool sigmoid, renormalize;
  double scaling;
  float* scores_out;  // [tokens, experts] or null
  std::int32_t* chosen;
  float* weights;
};

struct Ranked {
  float value;
  std::int32_t index;  // < 0: none
};

// Larger values first, of equals the lower index; NaN after everything.
__device__ bool before(const Ranked& a, const Ranked& b) {
  if (b.index < 0) return a.index >= 0;
  if (a.index < 0) return false;
  if (a.value > b.value) return true;
  return a.value == b.value && a.index < b.index;
}

// The best of values[first, last) that comes after `last_taken` in that order; all lanes get it.
__device__ Ranked next_best(const float* values, std::int32_t first, std::int32_t last,
                            const Ranked& taken) {
  Ranked best{0, -1};
  for (std::int32_t j = first + static_cast<std::int32_t>(threadIdx.x); j < last;
       j += static_cast<std::int32_t>(kWarp)) {
    const Ranked here{values[j], j};
    if (taken.index >= 0 && !before(taken, here)) continue;
    if (before(here, best)) best = here;
  }
  for (unsigned distance = kWarp / 2; distance > 0; distance /= 2) {
    const Ranked other{__shfl_xor_sync(kAllLanes, best.value, distance),
                       __shfl_xor_sync(kAllLanes, best.index, distance)};
    if (before(other, best)) best = other;
  }
  return best;
}

__device__ void score(const Router& r, const float* logits, float* scores) {
  const auto experts = static_cast<std::int32_t>(r.experts);
  if (r.sigmoid) {
    for (std::int32_t e = static_cast<std::int32_t>(threadIdx.x); e < experts; e += 32)
      scores[e] = static_cast<float>(1.0 / (1.0 + exp(-static_cast<double>(logits[e]))));
    return;
  }
  float largest = -INFINITY;
  for (std::int32_t e = static_cast<std::int32_t>(threadIdx.x); e < experts; e += 32)
    largest = fmaxf(largest, logits[e]);
  const auto top = static_cast<double>(warp_reduce(largest, Larger{}));
  double sum = 0;
  for (std::int32_t e = static_cast<std::int32_t>(threadIdx.x); e < experts; e += 32)
    sum += exp(static_cast<double>(logits[e]) - top);
  sum = warp_reduce(sum, Plus{});
  for (std::int32_t e = static_cast<std::int32_t>(threadIdx.x); e < experts; e += 32)
    scores[e] = static_cast<float>(exp(static_cast<double>(logits[e]) - top) / sum);
}

// Experts outside the best groups become -inf.
__device__ void mask_groups(const Router& r, float* biased, float* group_scores) {
  const auto size = static_cast<std::int32_t>(r.experts / r.groups);
  const auto groups = static_cast<std::int32_t>(r.groups);
  for (std::int32_t g = 0; g < groups; ++g) {
    Ranked taken{0, -1};
    float sum = 0;
    for (std::int64_t i = 0; i < r.group_best && i < size; ++i) {
      taken = next_best(biased, g * size, (g + 1) * size, taken);
      sum += taken.value;
    }
    if (threadIdx.x == 0) group_scores[g] = sum;
  }
  __syncwarp();
  Ranked last{0, -1};
  for (std::int64_t i = 0; i < r.groups_kept; ++i) last = next_best(group_scores, 0, groups, last);
  for (std::int32_t e = static_cast<std::int32_t>(threadIdx.x);
       e < static_cast<std::int32_t>(r.experts); e += 32) {
    const Ranked own{group_scores[e / size], e / size};
    if (before(last, own)) biased[e] = -INFINITY;
  }
  __syncwarp();
}

__global__ void route_kernel(Router r) {
  extern __shared__ float memory[];
  float* biased = memory + threadIdx.y * (2 * r.experts + r.groups);
  float* scores = biased + r.experts;
  float* group_scores = scores + r.experts;
  const std::int64_t t = static_cast<std::int64_t>(blockIdx.x) * kTokensAtOnce + threadIdx.y;
  if (t >= r.tokens) return;
  score(r, r.logits[t], scores);
  for (std::int64_t e = threadIdx.x; e < r.experts; e += 32) {
    biased[e] = scores[e] + (r.bias == nullptr ? 0.0F : r.bias[e]);
    if (r.scores_out != nullptr) r.scores_out[t * r.experts + e] = scores[e];
  }
  __syncwarp();
  if (r.groups_kept != r.groups) mask_groups(r, biased, group_scores);
  double sum = 0;
  Ranked taken{0, -1};
  for (std::int64_t i = 0; i < r.top_k; ++i) {
    taken = next_best(biased, 0, static_cast<std::int32_t>(r.experts), taken);
    if (taken.index < 0) taken.index = 0;  // NaN logits choose nothing in particular
    sum += static_cast<double>(scores[taken.index]);
    if (threadIdx.x == 0) r.chosen[t * r.top_k + i] = taken.index;
  }
  __syncwarp();
  const double divisor = r.renormalize ? sum + 1e-20 : 1.0;
  for (std::int64_t i = threadIdx.x; i < r.top_k; i += 32)
    r.weights[t * r.top_k + i] = static_cast<float>(
        static_cast<double>(scores[r.chosen[t * r.top_k + i]]) / divisor * r.scaling);
}

}  // namespace

Routing route(const Context& context, ConstMatrixView logits, const float* bias,
              const RoutingArgs& args, std::vector<float>* scores_out) {
  host::check_routing(logits.cols, args);
  const std::int64_t tokens = logits.rows;
  const Temporary<std::int32_t> chosen(context, tokens * args.top_k);
  const Temporary<float> weights(context, tokens * args.top_k);
  std::optional<Temporary<float>> scores;
  if (scores_out != nullptr) scores.emplace(context, tokens * logits.cols);
  const Router router{rows_of<float>(logits),
                      bias,
                      tokens,
                      logits.cols,
                      args.top_k,
                      args.groups,
                      args.groups_kept,
                      args.group_best,
                      args.score == RouterScore::kSigmoid,
                      args.renormalize,
                      static_cast<double>(args.scaling),
                      scores ? scores->data() : nullptr,
                      chosen.data(),
                      weights.data()};
  if (tokens > 0) {
    const auto bytes = static_cast<std::size_t>(kTokensAtOnce * (2 * logits.cols + args.groups)) *
                       sizeof(float);
    require(bytes <= 48 * 1024, "route: at most 1,500 experts");
    route_kernel<<<static_cast<unsigned>(base::ceil_div<std::int64_t>(tokens, kTokensAtOnce)),
                   dim3(kWarp, kTokensAtOnce), bytes, context.stream()>>>(router);
    context.launched("route");
  }
  if (scores_out != nullptr) *scores_out = scores->read();
  return {args.top_k, chosen.read(), weights.read()};
}

}  // namespace whit::compute::cuda
