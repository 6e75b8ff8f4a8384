#include "model/blocks.h"

#include <algorithm>
#include <utility>

#include "model/mlp.h"

namespace whit::model {

bool can_recompute(const MlaSpec& attention) {
  return attention.q_a && !attention.q_b.bias && !attention.kv_b.bias;
}

bool can_recompute(const LayerSpec& layer, const MlpSpec& mlp) {
  return !layer.parallel && std::none_of(mlp.in.begin(), mlp.in.end(),
                                         [](const LinearSpec& linear) { return linear.bias; });
}

bool may_recompute(const ForwardContext& context) {
  return context.recompute && context.cache == nullptr && context.observer == nullptr &&
         context.serving == nullptr;
}

std::vector<WeightHandle> weights_of(LayerRun& run, Stage stage) {
  std::vector<WeightHandle> weights;
  stage.keep_weights = [&](std::span<const WeightHandle> applied) {
    weights.assign(applied.begin(), applied.end());
  };
  run.context.runner.run({&stage, 1});
  return weights;
}

using Access = ActivationStore::Access;

Norm::Norm(compute::Backend& backend, WeightSource& weights, const NormSpec& spec)
    : backend_(&backend) {
  args_.centered = spec.kind == NormKind::kLayer;
  args_.eps = spec.eps;
  if (!spec.weight.name.empty()) weight_ = weights.vector(spec.weight);
  if (spec.bias) bias_ = weights.vector(*spec.bias);
  if (weight_) args_.weight = weight_->as<float>();
  if (bias_) args_.bias = bias_->as<float>();
}

Norm::Norm(ForwardContext& context, const NormSpec& spec)
    : Norm(context.backend, context.weights, spec) {}

Norm::Norm(ForwardContext& context, const std::optional<NormSpec>& spec) {
  if (spec) *this = Norm(context, *spec);
}

void Norm::apply(tensor::ConstMatrixView x, tensor::MatrixView out) const {
  backend_->neural().norm(x, args_, out);
}

void Norm::apply_back(tensor::ConstMatrixView x, tensor::ConstMatrixView dy,
                      tensor::MatrixView out) const {
  backend_->gradient().norm(x, args_, dy, out);
}

Stage tile_stage(const LayerRun& run, stats::TapId site, std::int64_t width,
                 std::vector<const LinearSpec*> linears) {
  Stage stage;
  stage.site = site;
  stage.width = width;
  stage.linears = std::move(linears);
  stage.strands = run.shares.strands();
  for (std::size_t piece = 0; piece < run.tiles.size(); ++piece) {
    stage.piece_rows.push_back(run.tiles[piece].rows);
    stage.piece_tokens.push_back(run.tiles[piece].first_row);
    stage.piece_strands.push_back(run.shares.strand_of(run.own[piece]));
  }
  return stage;
}

Produce normed_hidden(LayerRun& run, const std::optional<NormSpec>& spec) {
  return [&run, norm = Norm(run.context, spec)](std::size_t piece, tensor::MatrixView x) {
    const Tile& tile = run.tiles[piece];
    const auto hidden =
        run.context.store.lease(Slot::kHidden, tile.first_row, tile.rows, Access::kRead);
    if (norm)
      norm.apply(hidden->view(), x);
    else
      run.context.backend.memory().copy(hidden->view(), x);
  };
}

Produce copied_slot(LayerRun& run, Slot slot) {
  return [&run, slot](std::size_t piece, tensor::MatrixView x) {
    const Tile& tile = run.tiles[piece];
    const auto lease = run.context.store.lease(slot, tile.first_row, tile.rows, Access::kRead);
    run.context.backend.memory().copy(lease->view().sub(0, tile.rows, 0, x.cols), x);
  };
}

Consume added_to_hidden(LayerRun& run, const std::optional<NormSpec>& spec) {
  return [&run, norm = Norm(run.context, spec)](std::size_t piece,
                                                std::span<const tensor::MatrixView> y) {
    const Tile& tile = run.tiles[piece];
    if (norm) norm.apply(y[0], y[0]);
    const auto hidden =
        run.context.store.lease(Slot::kHidden, tile.first_row, tile.rows, Access::kUpdate);
    if (run.layer.residual_scale == 1)
      run.context.backend.neural().add(hidden->view(), y[0]);
    else
      run.context.backend.linalg().scale_add(1, hidden->view(), run.layer.residual_scale, y[0]);
  };
}

Consume activated_into(LayerRun& run, const MlpSpec& mlp, Slot slot) {
  return [&run, &mlp, slot](std::size_t piece, std::span<const tensor::MatrixView> y) {
    const Tile& tile = run.tiles[piece];
    const auto mid = run.context.store.lease(slot, tile.first_row, tile.rows, Access::kWrite);
    mid_of(run.context.backend, mlp, y, mid->view());
  };
}

const Serving::Cache* cache_rounding(const LayerRun& run) {
  const Serving* serving = run.context.serving;
  return serving == nullptr ? nullptr : serving->cache(run.layer);
}

void for_sequences(const LayerRun& run, const Tile& tile,
                   const std::function<void(std::int64_t, std::int64_t, std::int64_t)>& body) {
  const std::vector<std::int64_t>& starts = run.context.sequences.starts;
  for (std::int64_t s = tile.first_sequence; s < tile.first_sequence + tile.sequences; ++s) {
    const std::int64_t first = starts[static_cast<std::size_t>(s)];
    const std::int64_t rows = starts[static_cast<std::size_t>(s) + 1] - first;
    if (rows > 0) body(first - tile.first_row, rows, s);
  }
}

std::vector<std::int64_t> starts_in(const LayerRun& run, const Tile& tile) {
  const std::vector<std::int64_t>& all = run.context.sequences.starts;
  std::vector<std::int64_t> starts;
  for (std::int64_t s = tile.first_sequence; s <= tile.first_sequence + tile.sequences; ++s)
    starts.push_back(all[static_cast<std::size_t>(s)] - tile.first_row);
  return starts;
}

}  // namespace whit::model
