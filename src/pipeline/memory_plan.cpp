#include "pipeline/memory_plan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/memory.h"
#include "model/activations.h"
#include "model/attention_metric.h"
#include "model/forward.h"

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

// The halves of a layer: the attention, then the MLP.
enum class Half : std::uint8_t { kAttention, kMlp };
constexpr std::array<Half, 2> kHalves{Half::kAttention, Half::kMlp};

Half half_of(const model::LinearSpec& linear) {
  switch (linear.reads.site) {
    case stats::Site::kAttnIn:
    case stats::Site::kQLatent:
    case stats::Site::kKvLatent:
    case stats::Site::kAttnOut:
    case stats::Site::kMtpIn:
      return Half::kAttention;
    default:
      return Half::kMlp;
  }
}

// Columns per token that attention keeps between its stages, besides the hidden state.
std::int64_t attention_columns(const model::LayerSpec& layer, bool recomputed) {
  if (const auto* gqa = std::get_if<model::GqaSpec>(&layer.attention))
    return model::out_columns(gqa->qkv) * (gqa->layout == model::QkvLayout::kGroups ? 2 : 1);
  const auto& mla = std::get<model::MlaSpec>(layer.attention);
  const std::int64_t latents = mla.kv_a.out_features + (mla.q_a ? mla.q_a->out_features : 0);
  if (recomputed && model::can_recompute(mla)) return latents;
  return latents + std::max(mla.q_b.out_features, mla.o.in_features);
}

// The MLP's.
std::int64_t mlp_columns(const model::LayerSpec& layer, std::int64_t hidden, bool recomputed) {
  if (const auto* dense = std::get_if<model::MlpSpec>(&layer.mlp))
    return recomputed && model::can_recompute(layer, *dense) ? 0 : dense->down.in_features;
  const auto& moe = std::get<model::MoeSpec>(layer.mlp);
  return hidden + (moe.shared ? moe.shared->down.in_features : 0);
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

// The moved weight in two orders, a cross Gram and the residual's, a tile of the teacher's inputs.
std::uint64_t teacher_set(std::uint64_t weight, std::uint64_t gram, std::uint64_t rest,
                          const Refinement& refinement) {
  return 3 * weight + (refinement.teacher_part < 1 ? 3 : 1) * gram + rest;
}

// Quantizing one linear: weight, its copy in processing order, errors, decoded result and codes;
// Gram, ordered Hessian and factor; a tile of inputs and outputs. Refining takes an error and bands
// of H. The teacher adds the moved weight in two orders, a cross Gram and the residual's; held-out
// choices both sums in halves, a factor and a trial; a metric its blocks and a second sweep.
std::uint64_t working_set(const model::LayerSpec& layer, Half half, const Recipe& recipe,
                          bool teacher, std::int64_t hidden) {
  const Refinement& refinement = recipe.refinement;
  constexpr std::int64_t kBand = 128;
  std::uint64_t most = 0;
  for (const auto* linear : model::linears_of(layer)) {
    if (half_of(*linear) != half) continue;
    const std::uint64_t weight = bytes(linear->out_features, linear->in_features);
    const std::uint64_t gram = bytes(linear->in_features, linear->in_features);
    const std::uint64_t residual = bytes(hidden, linear->in_features);
    const std::uint64_t tile =
        bytes(2 * recipe.tile_tokens, linear->in_features + 2 * linear->out_features);
    std::uint64_t sum = 6 * weight + 4 * gram + tile;
    if (refinement.descent_passes > 0 || refinement.refit_scales)
      sum += weight + bytes(kBand, linear->out_features + linear->in_features);
    if (refinement.refit_scales) sum += 64 * kMiB;
    if (teacher) sum += teacher_set(weight, gram, residual + tile, refinement);
    if (refinement.held_out) sum += 3 * weight + 3 * gram + (teacher ? 2 * (gram + residual) : 0);
    // An expert's sums, and those of its half, with the layer's.
    if (refinement.lean && linear->reads.site == stats::Site::kExpertIn)
      sum += (refinement.held_out ? 2 : 1) * (teacher ? 3 : 1) * gram;
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
std::uint64_t vector_set(const model::LayerSpec& layer, const BoundRecipe& bound, bool teacher,
                         std::int64_t hidden) {
  constexpr std::uint64_t kPerVector = 24;
  std::uint64_t most = 0;
  for (const auto* linear : model::linears_of(layer)) {
    const auto found = bound.vectors.find(linear->module);
    if (found == bound.vectors.end()) continue;
    const scheme::VectorLayout& layout = found->second;
    const std::uint64_t vectors =
        static_cast<std::uint64_t>(layout.chunks(linear->out_features) * linear->in_features);
    const std::uint64_t weight = bytes(linear->out_features, linear->in_features);
    const std::uint64_t gram = bytes(linear->in_features, linear->in_features);
    const std::uint64_t tile =
        bytes(2 * bound.recipe.tile_tokens, linear->in_features + 2 * linear->out_features);
    std::uint64_t sum =
        9 * weight + 6 * gram + kPerVector * vectors + tile +
        6 * bytes(layout.groups * (layout.centroids + layout.residuals), layout.length + 1);
    if (teacher)
      sum += teacher_set(weight, gram, bytes(hidden, linear->in_features) + tile,
                         bound.recipe.refinement);
    most = std::max(most, sum);
  }
  return most;
}

std::uint64_t working_of(const model::LayerSpec& layer, Half half, const Plan& plan, bool teacher) {
  const Recipe& recipe = plan.bound.recipe;
  if (recipe.method == Method::kFp8) return fp8_set(layer, recipe);
  if (recipe.method == Method::kVptq)
    return std::max(vector_set(layer, plan.bound, teacher, plan.spec.hidden),
                    working_set(layer, half, recipe, false, 0));
  const std::uint64_t quantizing = working_set(layer, half, recipe, teacher, plan.spec.hidden);
  return half == Half::kAttention ? std::max(quantizing, metric_set(layer, recipe)) : quantizing;
}

// One way of going about it.
struct Schedule {
  bool in_file = false;     // activations
  bool recomputed = false;  // see model::ForwardContext
  std::int64_t block = kBlocks.back();
};

// What a layer needs, in bytes.
class Needs {
 public:
  Needs(const Plan& plan, const model::LayerSpec& layer) : plan_(plan), layer_(layer) {
    const Recipe& recipe = plan.bound.recipe;
    teacher_ = recipe.refinement.teacher && plan.tokens > 0;
    if (teacher_)
      taught_ = static_cast<std::int64_t>(
          std::ceil(recipe.refinement.teacher_part * static_cast<double>(plan.tokens)));
    narrow_ = recipe.hidden_states == tensor::Dtype::kBF16;
  }

  std::uint64_t peak(const Schedule& schedule) const {
    const std::uint64_t fixed =
        kProcess + routing_bytes(layer_, plan_.tokens) +
        (plan_.tokens > 0 ? bytes(plan_.spec.vocabulary, plan_.spec.hidden) : 0);
    std::uint64_t most = 0;
    for (const Half half : kHalves)
      most = std::max(
          most, working(half, schedule) + (schedule.in_file ? 0 : activations(half, schedule)));
    return fixed + most;
  }

  // What may live in a file.
  std::uint64_t activations(const Schedule& schedule) const {
    return std::max(activations(Half::kAttention, schedule), activations(Half::kMlp, schedule));
  }

  // What may be computed again.
  std::uint64_t cache() const { return bytes(plan_.tokens, widest_site(layer_)); }

 private:
  std::uint64_t working(Half half, const Schedule& schedule) const {
    std::uint64_t sum = working_of(layer_, half, plan_, teacher_);
    if (half == Half::kMlp)
      sum += stored((teacher_ ? 2 : 1) * expert_mids(layer_, plan_.tokens, schedule.block));
    // Rows of narrow slots, widened.
    if (narrow_) sum += bytes(2 * plan_.bound.recipe.tile_tokens, plan_.spec.hidden);
    return sum;
  }

  std::uint64_t activations(Half half, const Schedule& schedule) const {
    const std::int64_t hidden = plan_.spec.hidden;
    std::int64_t columns = half == Half::kAttention
                               ? attention_columns(layer_, schedule.recomputed)
                               : mlp_columns(layer_, hidden, schedule.recomputed);
    if (layer_.parallel) columns += hidden;
    const std::int64_t of_teacher = half == Half::kAttention ? attention_columns(layer_, false)
                                                             : mlp_columns(layer_, hidden, false);
    return stored(bytes(plan_.tokens, hidden + columns)) +
           bytes(taught_, hidden + of_teacher + teacher_columns(layer_, hidden));
  }

  std::uint64_t stored(std::uint64_t as_f32) const { return narrow_ ? as_f32 / 2 : as_f32; }

  const Plan& plan_;
  const model::LayerSpec& layer_;
  bool teacher_ = false;
  bool narrow_ = false;
  std::int64_t taught_ = 0;
};

// Moving the token embeddings: both streams; the table, as stored and twice in F32; the first layer
// over some 4,100 tokens by both models, their outputs, a linear; its MLP with both signs of its
// slope, a dozen rows of either width for each of the 1,022 tokens at work.
std::uint64_t table_peak(const Plan& plan, const Schedule& schedule) {
  constexpr std::int64_t kRows = 4104;
  constexpr std::int64_t kTokens = 1022;
  const model::LayerSpec& layer = plan.spec.layers.front();
  const std::int64_t hidden = plan.spec.hidden;
  const auto& mlp = std::get<model::MlpSpec>(layer.mlp);
  const std::int64_t mids = mlp.down.in_features;
  const std::int64_t rows = std::max(kRows, std::min<std::int64_t>(plan.tokens, 16384));
  const std::uint64_t streams = schedule.in_file ? 0 : 2 * bytes(plan.tokens, hidden);
  return kProcess + streams + bytes(3 * plan.spec.vocabulary, hidden) +
         bytes(rows, 4 * hidden + std::max(attention_columns(layer, false),
                                           mlp_columns(layer, hidden, false))) +
         6 * bytes(mids, hidden) + bytes(kTokens, 12 * hidden + 12 * mids) +
         bytes(2 * plan.bound.recipe.tile_tokens, hidden + 2 * mids);
}

// Of all layers.
class AllNeeds {
 public:
  explicit AllNeeds(const Plan& plan) : plan_(plan) {
    for (const auto& step : plan.steps) {
      if (step.layer != nullptr) layers_.emplace_back(plan, *step.layer);
      moves_table_ = moves_table_ || step.table;
    }
  }
  const std::vector<Needs>& layers() const { return layers_; }

  std::uint64_t peak(const Schedule& schedule) const {
    std::uint64_t most = moves_table_ ? table_peak(plan_, schedule) : kProcess;
    for (const Needs& needs : layers_) most = std::max(most, needs.peak(schedule));
    return most;
  }

 private:
  const Plan& plan_;
  std::vector<Needs> layers_;
  bool moves_table_ = false;
};

}  // namespace

void plan_memory(Plan& plan, std::uint64_t limit) {
  const Recipe& recipe = plan.bound.recipe;
  const AllNeeds needs(plan);
  Schedule schedule;
  const bool calibrates = recipe.method == Method::kGptq || recipe.method == Method::kVptq;
  // Rounded activations are never kept where they can be computed: results do not depend on memory.
  schedule.recomputed = calibrates && recipe.hidden_states == tensor::Dtype::kBF16;
  if (calibrates && needs.peak(schedule) > limit) schedule.recomputed = true;
  schedule.in_file = recipe.offload_activations || needs.peak(schedule) > limit;
  if (schedule.in_file) schedule.recomputed = false;
  if (schedule.in_file && recipe.hidden_states == tensor::Dtype::kBF16)
    throw base::Error(
        base::ErrorKind::kResource, recipe.max_memory_flag,
        fmt::format("{} are too few for --hidden-states bf16, which a file does not "
                    "hold; expected at least {}",
                    base::format_bytes(limit), base::format_bytes(needs.peak({false, true, 1}))));
  if (const std::uint64_t least = needs.peak(schedule); least > limit)
    throw base::Error(base::ErrorKind::kResource, recipe.max_memory_flag,
                      fmt::format("{} are too few; expected at least {}", base::format_bytes(limit),
                                  base::format_bytes(least)))
        .suggest("fewer or shorter calibration sequences need less");
  for (const std::int64_t block : kBlocks) {
    schedule.block = block;
    if (needs.peak(schedule) <= limit) break;
  }
  plan.activations_in_file = schedule.in_file;
  plan.recompute = schedule.recomputed;
  plan.expert_block = schedule.block;
  const std::uint64_t base_peak = needs.peak(schedule);
  std::uint64_t cache = 0;
  std::uint64_t activations = 0;
  for (const Needs& layer : needs.layers()) {
    cache = std::max(cache, layer.cache());
    activations = std::max(activations, layer.activations(schedule));
  }
  plan.piece_cache_bytes = schedule.in_file ? 0 : std::min(cache, limit - base_peak);
  plan.peak_memory_bytes = base_peak + plan.piece_cache_bytes;
  plan.spill_bytes = schedule.in_file ? activations : 0;
  for (auto& step : plan.steps)
    step.peak_memory_bytes = step.table ? table_peak(plan, schedule)
                             : step.layer == nullptr
                                 ? kProcess
                                 : Needs(plan, *step.layer).peak(schedule) + plan.piece_cache_bytes;
}

}  // namespace whit::pipeline
