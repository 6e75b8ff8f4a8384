#include "pipeline/measure_memory.h"

#include <algorithm>

#include "base/error.h"
#include "base/memory.h"
#include "model/activations.h"

namespace whit::pipeline {

namespace {

std::uint64_t floats(std::int64_t rows, std::int64_t cols) {
  return static_cast<std::uint64_t>(rows) * static_cast<std::uint64_t>(cols) * sizeof(float);
}

// Columns per token that a layer keeps between its stages, besides the hidden state.
std::int64_t kept_columns(const model::LayerSpec& layer, std::int64_t hidden) {
  std::int64_t attention = 0;
  if (const auto* gqa = std::get_if<model::GqaSpec>(&layer.attention)) {
    attention = gqa->q_width();
  } else {
    const auto& mla = std::get<model::MlaSpec>(layer.attention);
    attention = mla.q_b.out_features + mla.kv_a.out_features +
                std::max(mla.q_a ? mla.q_a->out_features : 0, mla.heads * mla.v_dim);
  }
  std::int64_t mlp = 0;
  if (const auto* dense = std::get_if<model::MlpSpec>(&layer.mlp)) {
    mlp = dense->down.in_features;
  } else {
    const auto& moe = std::get<model::MoeSpec>(layer.mlp);
    const std::int64_t expert = moe.experts.empty() ? 0 : moe.experts.front().down.in_features;
    // The mixture's input and its sum; mids as if every token went to the expert at hand.
    mlp = 2 * hidden + std::max(expert, moe.shared ? moe.shared->down.in_features : 0);
  }
  return std::max(attention, mlp) + (layer.parallel ? hidden : 0);
}

// One stage's weights, decoded, and a tile of what they read and make, some of it twice.
std::uint64_t stage_bytes(const model::LayerSpec& layer, std::int64_t tile) {
  std::uint64_t most = 0;
  stats::TapId site{-1, stats::Site::kHeadIn, -1};
  std::uint64_t sum = 0;
  for (const auto* linear : model::linears_of(layer)) {
    if (linear->reads != site) sum = floats(2 * tile, linear->in_features);
    site = linear->reads;
    sum += 2 * floats(linear->out_features, linear->in_features) +
           floats(2 * tile, linear->out_features);
    most = std::max(most, sum);
  }
  return most;
}

}  // namespace

bool spills(const model::ModelSpec& spec, std::int64_t tokens, std::uint64_t limit) {
  constexpr std::uint64_t kProcess = std::uint64_t{160} << 20;  // the program, BLAS's buffers
  std::uint64_t working = 2 * floats(spec.vocabulary, spec.hidden);
  std::uint64_t routing = 0;
  std::int64_t columns = 0;
  // A tile ends where a sequence does.
  const std::int64_t tile = std::min(tokens, 2 * model::kTileTokens);
  for (const auto& layer : spec.layers) {
    working = std::max(working, stage_bytes(layer, tile));
    columns = std::max(columns, kept_columns(layer, spec.hidden));
    if (const auto* moe = std::get_if<model::MoeSpec>(&layer.mlp))
      routing = std::max(routing, floats(tokens, 4 * moe->router.top_k));
  }
  const std::uint64_t least = kProcess + working + routing;
  if (limit == 0 || least + floats(tokens, columns + spec.hidden) <= limit) return false;
  if (least <= limit) return true;
  throw base::Error(base::ErrorKind::kResource, "--max-memory",
                    fmt::format("{} are too few; expected at least {}", base::format_bytes(limit),
                                base::format_bytes(least)))
      .suggest("fewer or shorter calibration sequences need less");
}

}  // namespace whit::pipeline
