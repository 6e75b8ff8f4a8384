#include "pipeline/memory_plan.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "base/memory.h"
#include "model/activations.h"
#include "model/attention_metric.h"

namespace whit::pipeline {

namespace {

constexpr std::uint64_t kMiB = 1 << 20;
// The program, its libraries and BLAS's buffers.
constexpr std::uint64_t kProcess = 160 * kMiB;
constexpr std::uint64_t kFloat = sizeof(float);
// Experts handed over at once, most first.
constexpr std::array<std::int64_t, 4> kBlocks{8, 4, 2, 1};

std::uint64_t bytes(std::int64_t rows, std::int64_t cols) {
  return static_cast<std::uint64_t>(rows) * static_cast<std::uint64_t>(cols) * kFloat;
}

// Columns per token that the layer keeps between its stages, besides the hidden state.
std::int64_t slot_columns(const model::LayerSpec& layer, std::int64_t hidden) {
  std::int64_t attention = 0;
  if (const auto* gqa = std::get_if<model::GqaSpec>(&layer.attention)) {
    attention = model::out_columns(gqa->qkv);
    if (gqa->layout == model::QkvLayout::kGroups) attention *= 2;
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
    mlp = 2 * hidden + (moe.shared ? moe.shared->down.in_features : 0);
  }
  return std::max(attention, mlp) + (layer.parallel ? hidden : 0);
}

// Columns per token that the teacher remembers of a layer: two residual streams, and what every
// linear outside the experts read.
std::int64_t teacher_columns(const model::LayerSpec& layer, std::int64_t hidden) {
  std::int64_t columns = 2 * hidden;
  stats::TapId last{-1, stats::Site::kAttnIn, -1};
  for (const auto* linear : model::linears_of(layer)) {
    if (linear->reads.expert >= 0 || linear->reads == last) continue;
    columns += linear->in_features;
    last = linear->reads;
  }
  return columns;
}

// Routing, kept in memory wherever activations are: every token's experts, weights and scores.
std::uint64_t routing_bytes(const model::LayerSpec& layer, std::int64_t tokens) {
  const auto* moe = std::get_if<model::MoeSpec>(&layer.mlp);
  if (moe == nullptr) return 0;
  return bytes(tokens, static_cast<std::int64_t>(moe->experts.size()) + 4 * moe->router.top_k);
}

// Widest hidden state that a runner might keep instead of computing it again.
std::int64_t widest_site(const model::LayerSpec& layer) {
  std::int64_t widest = 0;
  for (const auto* linear : model::linears_of(layer))
    widest = std::max(widest, linear->in_features);
  return widest;
}

// Quantizing one linear: weight, its copy in processing order, errors, decoded result and codes;
// Gram, ordered Hessian and factor; a tile of inputs and outputs. Refining takes an error and bands
// of H. The teacher adds the moved weight in two orders, a cross Gram and the residual's; held-out
// choices both sums in halves, a factor and a trial; a metric its blocks and a second sweep.
std::uint64_t working_set(const model::LayerSpec& layer, const Recipe& recipe, bool teacher,
                          std::int64_t hidden) {
  const Refinement& refinement = recipe.refinement;
  constexpr std::int64_t kBand = 128;
  std::uint64_t most = 0;
  for (const auto* linear : model::linears_of(layer)) {
    const std::uint64_t weight = bytes(linear->out_features, linear->in_features);
    const std::uint64_t gram = bytes(linear->in_features, linear->in_features);
    const std::uint64_t residual = bytes(hidden, linear->in_features);
    const std::uint64_t tile =
        bytes(2 * recipe.tile_tokens, linear->in_features + 2 * linear->out_features);
    std::uint64_t sum = 6 * weight + 4 * gram + tile;
    if (refinement.descent_passes > 0 || refinement.refit_scales)
      sum += weight + bytes(kBand, linear->out_features + linear->in_features);
    if (refinement.refit_scales) sum += 64 * kMiB;
    if (teacher) sum += 3 * weight + (refinement.teacher_part < 1 ? 3 : 1) * gram + residual + tile;
    if (refinement.held_out) sum += 3 * weight + 3 * gram + (teacher ? 2 * (gram + residual) : 0);
    if (const std::int64_t block = model::metric_block(layer, *linear);
        refinement.output_metric && block > 0)
      sum += 4 * weight + 3 * bytes(linear->out_features, block);
    most = std::max(most, sum);
  }
  return most;
}

// A layer's attention and its gradient on one tile, and the metrics of its linears.
std::uint64_t metric_set(const model::LayerSpec& layer, const Recipe& recipe) {
  if (!recipe.refinement.output_metric) return 0;
  std::uint64_t sum = 0;
  for (const auto* linear : model::linears_of(layer))
    if (const std::int64_t block = model::metric_block(layer, *linear); block > 0)
      sum += bytes(4 * recipe.tile_tokens + 3 * block, linear->out_features) +
             bytes(linear->out_features, linear->in_features);
  return sum;
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

// One linear as FP8: the weight, its codes, what they decode to and a copy that a search reads; a
// tile of inputs and outputs.
std::uint64_t fp8_set(const model::LayerSpec& layer, const Recipe& recipe) {
  std::uint64_t most = 0;
  for (const auto* linear : model::linears_of(layer))
    most = std::max(
        most, 5 * bytes(linear->out_features, linear->in_features) +
                  bytes(2 * recipe.tile_tokens, linear->in_features + 2 * linear->out_features));
  return most;
}

// One linear as vector codes: the weight, its copy on the host, target, error, what was rounded
// off, vectors of either, Q and the decoded result; Grams, plain and normed, their factor and H in
// two orders; labels, weights and distances of the vectors; the codebooks and a search's copy of
// them.
std::uint64_t vector_set(const model::LayerSpec& layer, const BoundRecipe& bound) {
  constexpr std::uint64_t kPerVector = 24;
  std::uint64_t most = 0;
  for (const auto* linear : model::linears_of(layer)) {
    const auto found = bound.vectors.find(linear->module);
    if (found == bound.vectors.end()) continue;
    const scheme::VectorLayout& layout = found->second;
    const std::uint64_t vectors =
        static_cast<std::uint64_t>(layout.chunks(linear->out_features) * linear->in_features);
    most = std::max(
        most,
        9 * bytes(linear->out_features, linear->in_features) +
            6 * bytes(linear->in_features, linear->in_features) + kPerVector * vectors +
            6 * bytes(layout.groups * (layout.centroids + layout.residuals), layout.length + 1) +
            bytes(2 * bound.recipe.tile_tokens, linear->in_features + 2 * linear->out_features));
  }
  return most;
}

std::uint64_t working_of(const model::LayerSpec& layer, const Plan& plan, bool teacher) {
  const Recipe& recipe = plan.bound.recipe;
  if (recipe.method == Method::kFp8) return fp8_set(layer, recipe);
  if (recipe.method == Method::kVptq)
    return std::max(vector_set(layer, plan.bound), working_set(layer, recipe, false, 0));
  return std::max(working_set(layer, recipe, teacher, plan.spec.hidden), metric_set(layer, recipe));
}

// What the hungriest layer needs, in bytes.
struct Needs {
  std::uint64_t fixed = kProcess;  // whatever the schedule
  std::uint64_t working = 0;
  std::uint64_t activations = 0;  // may live in a file
  std::uint64_t cache = 0;        // may be computed again
  std::array<std::uint64_t, kBlocks.size()> mids{};

  std::uint64_t peak(bool in_file, std::size_t block) const {
    return fixed + working + mids[block] + (in_file ? 0 : activations);
  }
};

Needs needs_of(const Plan& plan) {
  const std::int64_t tokens = plan.tokens;
  const std::int64_t hidden = plan.spec.hidden;
  const bool teacher = plan.bound.recipe.refinement.teacher && tokens > 0;
  const std::int64_t taught =
      teacher ? static_cast<std::int64_t>(std::ceil(plan.bound.recipe.refinement.teacher_part *
                                                    static_cast<double>(tokens)))
              : 0;
  Needs needs;
  std::uint64_t slots = 0, routing = 0, remembered = 0;
  for (const auto& step : plan.steps) {
    if (step.layer == nullptr) continue;
    needs.working = std::max(needs.working, working_of(*step.layer, plan, teacher));
    slots = std::max(slots, bytes(tokens, slot_columns(*step.layer, hidden)));
    routing = std::max(routing, routing_bytes(*step.layer, tokens));
    if (teacher)
      remembered = std::max(remembered, bytes(taught, teacher_columns(*step.layer, hidden)));
    needs.cache = std::max(needs.cache, bytes(tokens, widest_site(*step.layer)));
    for (std::size_t block = 0; block < kBlocks.size(); ++block)
      needs.mids[block] = std::max(
          needs.mids[block], (teacher ? 2 : 1) * expert_mids(*step.layer, tokens, kBlocks[block]));
  }
  needs.fixed += routing + (tokens > 0 ? bytes(plan.spec.vocabulary, hidden) : 0);
  needs.activations = bytes(tokens + taught, hidden) + slots + remembered;
  return needs;
}

}  // namespace

void plan_memory(Plan& plan, std::uint64_t limit) {
  const Needs needs = needs_of(plan);
  constexpr std::size_t kLeast = kBlocks.size() - 1;
  plan.activations_in_file =
      plan.bound.recipe.offload_activations || needs.peak(false, kLeast) > limit;
  const bool in_file = plan.activations_in_file;
  if (needs.peak(in_file, kLeast) > limit)
    throw base::Error(base::ErrorKind::kResource, plan.bound.recipe.max_memory_flag,
                      fmt::format("{} are too few; expected at least {}", base::format_bytes(limit),
                                  base::format_bytes(needs.peak(in_file, kLeast))))
        .suggest("fewer or shorter calibration sequences need less");
  std::size_t block = 0;
  while (needs.peak(in_file, block) > limit) ++block;
  plan.expert_block = kBlocks[block];
  const std::uint64_t base_peak = needs.peak(in_file, block);
  plan.piece_cache_bytes = in_file ? 0 : std::min(needs.cache, limit - base_peak);
  plan.peak_memory_bytes = base_peak + plan.piece_cache_bytes;
  plan.spill_bytes = in_file ? needs.activations : 0;
  const bool teacher = plan.bound.recipe.refinement.teacher && plan.tokens > 0;
  for (auto& step : plan.steps)
    step.peak_memory_bytes = step.layer == nullptr ? kProcess
                                                   : plan.peak_memory_bytes - needs.working +
                                                         working_of(*step.layer, plan, teacher);
}

}  // namespace whit::pipeline
