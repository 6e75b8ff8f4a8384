#include "pipeline/memory_plan.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/memory.h"
#include "model/activations.h"

namespace whit::pipeline {

namespace {

constexpr std::uint64_t kMiB = 1 << 20;
// The program, its libraries and BLAS's buffers.
constexpr std::uint64_t kProcess = 160 * kMiB;
constexpr std::uint64_t kFloat = sizeof(float);

std::uint64_t bytes(std::int64_t rows, std::int64_t cols) {
  return static_cast<std::uint64_t>(rows) * static_cast<std::uint64_t>(cols) * kFloat;
}

// Columns per token that the layer keeps between its stages, besides the hidden state.
std::int64_t slot_columns(const model::LayerSpec& layer, std::int64_t hidden) {
  std::int64_t attention = 0;
  if (const auto* gqa = std::get_if<model::GqaSpec>(&layer.attention)) {
    attention = gqa->q.out_features + gqa->k.out_features + gqa->v.out_features;
  } else {
    const auto& mla = std::get<model::MlaSpec>(layer.attention);
    attention = mla.q_b.out_features + mla.kv_b.out_features + mla.kv_a.out_features +
                (mla.q_a ? mla.q_a->out_features : 0);
  }
  std::int64_t mlp = 0;
  if (const auto* dense = std::get_if<model::MlpSpec>(&layer.mlp)) {
    mlp = dense->down.in_features;
  } else {
    const auto& moe = std::get<model::MoeSpec>(layer.mlp);
    mlp = 2 * hidden + static_cast<std::int64_t>(moe.experts.size()) +
          (moe.shared ? moe.shared->down.in_features : 0);
  }
  return std::max(attention, mlp);
}

// Widest hidden state that a runner might keep instead of computing it again.
std::int64_t widest_site(const model::LayerSpec& layer) {
  std::int64_t widest = 0;
  for (const auto* linear : model::linears_of(layer))
    widest = std::max(widest, linear->in_features);
  return widest;
}

// Quantizing one linear: weight, its copy in processing order, errors, decoded result and codes;
// Gram, ordered Hessian and factor; a tile of inputs and outputs.
std::uint64_t working_set(const model::LayerSpec& layer) {
  std::uint64_t most = 0;
  for (const auto* linear : model::linears_of(layer)) {
    const std::uint64_t weight = bytes(linear->out_features, linear->in_features);
    const std::uint64_t gram = bytes(linear->in_features, linear->in_features);
    const std::uint64_t tile =
        bytes(2 * model::kTileTokens, linear->in_features + 2 * linear->out_features);
    most = std::max(most, 6 * weight + 4 * gram + tile);
  }
  return most;
}

// The mids of one block of experts: routed rows of all its experts, at the average load times two.
std::uint64_t expert_mids(const model::LayerSpec& layer, std::int64_t tokens, std::int64_t block) {
  const auto* moe = std::get_if<model::MoeSpec>(&layer.mlp);
  if (moe == nullptr || moe->experts.empty()) return 0;
  const std::int64_t experts = static_cast<std::int64_t>(moe->experts.size());
  const std::int64_t rows =
      std::min(block * tokens, 2 * block * tokens * moe->router.top_k / experts + block * 512);
  return bytes(rows, moe->experts.front().down.in_features);
}

}  // namespace

void plan_memory(Plan& plan, std::uint64_t limit) {
  const std::int64_t tokens = plan.tokens;
  const std::int64_t hidden = plan.spec.hidden;
  std::uint64_t working = 0, slots = 0, table = 0, cache = 0;
  const std::uint64_t hidden_bytes = bytes(tokens, hidden);
  for (const auto& step : plan.steps) {
    if (step.layer == nullptr) continue;
    working = std::max(working, working_set(*step.layer));
    slots = std::max(slots, bytes(tokens, slot_columns(*step.layer, hidden)));
    cache = std::max(cache, bytes(tokens, widest_site(*step.layer)));
  }
  if (tokens > 0) table = bytes(plan.spec.vocabulary, hidden);

  constexpr std::array<std::int64_t, 4> kBlocks{8, 4, 2, 1};
  const auto mids = [&](std::int64_t block) {
    std::uint64_t most = 0;
    for (const auto& step : plan.steps)
      if (step.layer != nullptr) most = std::max(most, expert_mids(*step.layer, tokens, block));
    return most;
  };
  const auto peak = [&](bool in_file, std::int64_t block) {
    return kProcess + table + working + mids(block) + (in_file ? 0 : hidden_bytes + slots);
  };
  plan.activations_in_file = plan.bound.recipe.offload_activations || peak(false, 1) > limit;
  const bool in_file = plan.activations_in_file;
  if (peak(in_file, 1) > limit)
    throw base::Error(base::ErrorKind::kResource, "--max-memory",
                      fmt::format("{} are too few; expected at least {}", base::format_bytes(limit),
                                  base::format_bytes(peak(in_file, 1))))
        .suggest("fewer or shorter calibration sequences need less");
  plan.expert_block = 1;
  for (const std::int64_t block : kBlocks)
    if (peak(in_file, block) <= limit) {
      plan.expert_block = block;
      break;
    }
  const std::uint64_t base_peak = peak(in_file, plan.expert_block);
  plan.piece_cache_bytes = in_file ? 0 : std::min(cache, limit - base_peak);
  plan.peak_memory_bytes = base_peak + plan.piece_cache_bytes;
  plan.spill_bytes = in_file ? hidden_bytes + slots : 0;
  for (auto& step : plan.steps) {
    step.peak_memory_bytes = step.layer == nullptr
                                 ? kProcess
                                 : plan.peak_memory_bytes - working + working_set(*step.layer);
  }
}

}  // namespace whit::pipeline
