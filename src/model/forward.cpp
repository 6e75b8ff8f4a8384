#include "model/forward.h"

#include <algorithm>

#include "base/error.h"
#include "model/blocks.h"

namespace whit::model {

using tensor::Dtype;
using tensor::MatrixView;
using Access = ActivationStore::Access;

namespace {

std::span<const std::int32_t> ids_of(const std::vector<std::int32_t>& ids, const Tile& tile) {
  return std::span(ids).subspan(static_cast<std::size_t>(tile.first_row),
                                static_cast<std::size_t>(tile.rows));
}

void require_known_ids(const Sequences& sequences, std::int64_t vocabulary) {
  for (std::size_t i = 0; i < sequences.ids.size(); ++i)
    if (sequences.ids[i] < 0 || sequences.ids[i] >= vocabulary)
      base::fail(base::ErrorKind::kInput, fmt::format("token {}", i), "id {}; expected 0 to {}",
                 sequences.ids[i], vocabulary - 1);
}

// The id of the token `shift` places on; the last tokens of a sequence see its last one.
std::vector<std::int32_t> following_ids(const Sequences& sequences, std::int64_t shift) {
  std::vector<std::int32_t> ids;
  ids.reserve(sequences.ids.size());
  for (std::size_t s = 0; s + 1 < sequences.starts.size(); ++s)
    for (std::int64_t row = sequences.starts[s]; row < sequences.starts[s + 1]; ++row)
      ids.push_back(
          sequences
              .ids[static_cast<std::size_t>(std::min(row + shift, sequences.starts[s + 1] - 1))]);
  return ids;
}

void scale(compute::Backend& backend, float factor, MatrixView x) {
  if (factor != 1) backend.linalg().scale_add(factor, x, 0, x);
}

}  // namespace

void forward_embedding(ForwardContext& context, const ModelSpec& spec) {
  require_known_ids(context.sequences, spec.vocabulary);
  const WeightHandle table = context.weights.table(spec.embedding);
  context.store.create(Slot::kHidden, context.sequences.tokens(), spec.hidden);
  for (const Tile& tile : tiles_of(context.sequences)) {
    const auto hidden =
        context.store.lease(Slot::kHidden, tile.first_row, tile.rows, Access::kWrite);
    context.backend.neural().embed(table->view(), ids_of(context.sequences.ids, tile),
                                   hidden->view());
    scale(context.backend, spec.embedding_scale, hidden->view());
  }
}

void forward_layer(ForwardContext& context, const LayerSpec& layer) {
  if (context.sequences.tokens() == 0) return;
  base::check(context.cache == nullptr || context.sequences.count() == 1,
              "forward_layer: one sequence with a cache");
  LayerRun run{context, layer, tiles_of(context.sequences)};
  std::visit([&](const auto& attention) { run_attention(run, attention); }, layer.attention);
  std::visit([&](const auto& mlp) { run_mlp(run, mlp); }, layer.mlp);
  context.weights.release(layer.index);
}

void forward_mtp_layer(ForwardContext& context, const ModelSpec& spec, const LayerSpec& layer) {
  base::check(layer.mtp.has_value(), "forward_mtp_layer: an MTP layer");
  if (context.sequences.tokens() == 0) return;
  const MtpSpec& mtp = *layer.mtp;
  LayerRun run{context, layer, tiles_of(context.sequences)};
  const std::int64_t depth = layer.index - static_cast<std::int64_t>(spec.layers.size()) + 1;
  const std::vector<std::int32_t> ids = following_ids(context.sequences, depth);
  {
    const WeightHandle table =
        context.weights.table(mtp.embedding ? *mtp.embedding : spec.embedding);
    const WeightHandle enorm = context.weights.vector(mtp.enorm.weight);
    const std::optional<NormSpec> hnorm(mtp.hnorm);
    const Produce hidden = normed_hidden(run, hnorm);
    Stage stage = tile_stage(run, mtp.eh_proj.reads, 2 * spec.hidden, {&mtp.eh_proj});
    stage.produce = [&](std::size_t piece, MatrixView x) {
      const Tile& tile = run.tiles[piece];
      tensor::Tensor next =
          context.backend.memory().allocate({tile.rows, spec.hidden}, Dtype::kF32);
      context.backend.neural().embed(table->view(), ids_of(ids, tile), next.matrix());
      context.backend.neural().rms_norm(next.matrix(), enorm->as<float>(), mtp.enorm.eps,
                                        x.sub(0, tile.rows, 0, spec.hidden));
      hidden(piece, x.sub(0, tile.rows, spec.hidden, spec.hidden));
    };
    stage.consume = [&](std::size_t piece, std::span<const MatrixView> y) {
      const Tile& tile = run.tiles[piece];
      const auto out =
          context.store.lease(Slot::kHidden, tile.first_row, tile.rows, Access::kWrite);
      context.backend.memory().copy(y[0], out->view());
    };
    context.runner.run({&stage, 1});
  }
  forward_layer(context, layer);
}

tensor::Tensor forward_head(ForwardContext& context, const ModelSpec& spec, std::int64_t first_row,
                            std::int64_t rows) {
  compute::Memory& memory = context.backend.memory();
  tensor::Tensor normed = memory.allocate({rows, spec.hidden}, Dtype::kF32);
  const WeightHandle norm = context.weights.vector(spec.final_norm.weight);
  {
    const auto hidden = context.store.lease(Slot::kHidden, first_row, rows, Access::kRead);
    context.backend.neural().rms_norm(hidden->view(), norm->as<float>(), spec.final_norm.eps,
                                      normed.matrix());
  }
  const WeightHandle head = context.weights.linear(spec.head);
  tensor::Tensor logits = memory.allocate({rows, spec.vocabulary}, Dtype::kF32);
  context.backend.linalg().linear(normed.matrix(), head->matrix(), nullptr, logits.matrix());
  scale(context.backend, spec.logit_scale, logits.matrix());
  if (const float cap = spec.logit_softcap; cap > 0) {
    scale(context.backend, 1 / cap, logits.matrix());
    context.backend.neural().activate(compute::Activation::kTanh, logits.matrix(), {},
                                      logits.matrix());
    scale(context.backend, cap, logits.matrix());
  }
  return logits;
}

}  // namespace whit::model
