#include "compute/host/routing.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

#include "base/error.h"

namespace whit::compute::host {

namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

// Indices of the `count` largest values, largest first; of equals the lower index.
void largest(const std::vector<float>& values, std::int64_t count, std::int32_t* out) {
  std::vector<bool> taken(values.size(), false);
  for (std::int64_t i = 0; i < count; ++i) {
    std::size_t best = values.size();
    for (std::size_t j = 0; j < values.size(); ++j) {
      if (taken[j]) continue;
      if (best == values.size() || values[j] > values[best]) best = j;
    }
    taken[best] = true;
    out[i] = static_cast<std::int32_t>(best);
  }
}

// Sum of the `best` largest of `size` scores.
float group_score(const float* biased, std::int64_t size, std::int64_t best) {
  std::vector<float> ordered(biased, biased + size);
  const auto count = std::min(best, size);
  std::partial_sort(ordered.begin(), ordered.begin() + count, ordered.end(), std::greater<>());
  return std::accumulate(ordered.begin(), ordered.begin() + count, 0.0F);
}

void mask_groups(std::vector<float>& biased, const RoutingArgs& args) {
  if (args.groups_kept == args.groups) return;
  const std::int64_t size = static_cast<std::int64_t>(biased.size()) / args.groups;
  std::vector<float> scores(static_cast<std::size_t>(args.groups));
  for (std::int64_t g = 0; g < args.groups; ++g)
    scores[static_cast<std::size_t>(g)] =
        group_score(biased.data() + g * size, size, args.group_best);
  std::vector<std::int32_t> kept(static_cast<std::size_t>(args.groups_kept));
  largest(scores, args.groups_kept, kept.data());
  std::vector<bool> keep(static_cast<std::size_t>(args.groups), false);
  for (const std::int32_t g : kept) keep[static_cast<std::size_t>(g)] = true;
  for (std::size_t j = 0; j < biased.size(); ++j)
    if (!keep[j / static_cast<std::size_t>(size)]) biased[j] = kMasked;
}

void score(const float* logits, std::int64_t experts, RouterScore kind, float* scores) {
  if (kind == RouterScore::kSigmoid) {
    for (std::int64_t e = 0; e < experts; ++e)
      scores[e] = static_cast<float>(1.0 / (1.0 + std::exp(-static_cast<double>(logits[e]))));
    return;
  }
  const double largest = static_cast<double>(*std::max_element(logits, logits + experts));
  double sum = 0;
  for (std::int64_t e = 0; e < experts; ++e)
    sum += std::exp(static_cast<double>(logits[e]) - largest);
  for (std::int64_t e = 0; e < experts; ++e)
    scores[e] = static_cast<float>(std::exp(static_cast<double>(logits[e]) - largest) / sum);
}

}  // namespace

void check_routing(std::int64_t experts, const RoutingArgs& args) {
  const bool grouped = args.groups >= 1 && args.groups_kept >= 1 &&
                       args.groups_kept <= args.groups && experts % args.groups == 0 &&
                       args.group_best >= 1;
  if (!grouped || args.top_k < 1 || args.top_k > args.groups_kept * (experts / args.groups))
    base::fail(base::ErrorKind::kInput, "router",
               "{} of {} experts from {} of {} groups; expected fewer than the kept groups hold",
               args.top_k, experts, args.groups_kept, args.groups);
}

void route_token(const float* logits, const float* bias, std::int64_t experts,
                 const RoutingArgs& args, float* scores, std::int32_t* chosen, float* weights) {
  std::vector<float> biased(static_cast<std::size_t>(experts));
  score(logits, experts, args.score, scores);
  for (std::int64_t e = 0; e < experts; ++e)
    biased[static_cast<std::size_t>(e)] = scores[e] + (bias == nullptr ? 0.0F : bias[e]);
  mask_groups(biased, args);
  largest(biased, args.top_k, chosen);
  double sum = 0;
  for (std::int64_t i = 0; i < args.top_k; ++i) sum += static_cast<double>(scores[chosen[i]]);
  const double divisor = args.renormalize ? sum + 1e-20 : 1.0;
  for (std::int64_t i = 0; i < args.top_k; ++i)
    weights[i] = static_cast<float>(static_cast<double>(scores[chosen[i]]) / divisor *
                                    static_cast<double>(args.scaling));
}

}  // namespace whit::compute::host
