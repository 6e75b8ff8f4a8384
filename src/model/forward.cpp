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

// What happens to the embedding of a tile before the first layer.
class Entry {
 public:
  Entry(ForwardContext& context, const ModelSpec& spec)
      : context_(context),
        spec_(spec),
        table_(context.weights.table(spec.embedding)),
        norm_(context, spec.embedding_norm) {
    if (spec.embedding_proj) proj_ = context.weights.linear(*spec.embedding_proj);
    if (!spec.positions) return;
    positions_ = context.weights.table(*spec.positions);
    const std::int64_t known = spec.positions->out_features - spec.first_position;
    for (const std::int32_t position : context.sequences.positions)
      if (position >= known)
        base::fail(base::ErrorKind::kInput, "sequence",
                   "more than {} tokens; expected at most {}, the positions of {}", known, known,
                   spec.positions->module);
  }

  void write(const Tile& tile, MatrixView hidden) const {
    const auto ids = ids_of(context_.sequences.ids, tile);
    if (proj_) {
      const tensor::Tensor narrow = embedded(*table_, ids, spec_.embedding.in_features);
      context_.backend.linalg().linear(narrow.matrix(), proj_->matrix(), nullptr, hidden);
    } else {
      context_.backend.neural().embed(table_->view(), ids, hidden);
    }
    scale(context_.backend, spec_.embedding_scale, hidden);
    if (positions_) {
      std::vector<std::int32_t> rows;
      for (const std::int32_t position : ids_of(context_.sequences.positions, tile))
        rows.push_back(position + static_cast<std::int32_t>(spec_.first_position));
      context_.backend.neural().add(hidden, embedded(*positions_, rows, hidden.cols).matrix());
    }
    if (norm_) norm_.apply(hidden, hidden);
  }

 private:
  tensor::Tensor embedded(const tensor::Tensor& table, std::span<const std::int32_t> rows,
                          std::int64_t width) const {
    tensor::Tensor out = context_.backend.memory().allocate(
        {static_cast<std::int64_t>(rows.size()), width}, Dtype::kF32);
    context_.backend.neural().embed(table.view(), rows, out.matrix());
    return out;
  }

  ForwardContext& context_;
  const ModelSpec& spec_;
  WeightHandle table_, proj_, positions_;
  Norm norm_;
};

// kHidden = norm of itself.
void norm_stream(LayerRun& run, const std::optional<NormSpec>& spec) {
  const Norm norm(run.context, spec);
  for (const Tile& tile : run.tiles) {
    const auto hidden =
        run.context.store.lease(Slot::kHidden, tile.first_row, tile.rows, Access::kUpdate);
    norm.apply(hidden->view(), hidden->view());
  }
}

// kMlpIn = what the MLP reads, before attention moves the stream.
void keep_mlp_input(LayerRun& run) {
  const Produce input =
      normed_hidden(run, run.layer.mlp_norm ? run.layer.mlp_norm : run.layer.attention_norm);
  run.context.store.create(Slot::kMlpIn, run.tokens(), run.hidden());
  for (std::size_t piece = 0; piece < run.tiles.size(); ++piece) {
    const Tile& tile = run.tiles[piece];
    input(piece,
          run.context.store.lease(Slot::kMlpIn, tile.first_row, tile.rows, Access::kWrite)->view());
  }
}

// Rows of kHidden, normed.
tensor::Tensor normed_rows(ForwardContext& context, const std::optional<NormSpec>& spec,
                           std::int64_t first_row, std::int64_t rows) {
  compute::Memory& memory = context.backend.memory();
  const auto hidden = context.store.lease(Slot::kHidden, first_row, rows, Access::kRead);
  tensor::Tensor normed = memory.allocate({rows, hidden->view().cols}, Dtype::kF32);
  if (const Norm norm(context, spec); norm)
    norm.apply(hidden->view(), normed.matrix());
  else
    memory.copy(hidden->view(), normed.matrix());
  return normed;
}

}  // namespace

void forward_embedding(ForwardContext& context, const ModelSpec& spec) {
  require_known_ids(context.sequences, spec.vocabulary);
  const Entry entry(context, spec);
  context.store.create(Slot::kHidden, context.sequences.tokens(), spec.hidden);
  for (const Tile& tile : tiles_of(context.sequences)) {
    const auto hidden =
        context.store.lease(Slot::kHidden, tile.first_row, tile.rows, Access::kWrite);
    entry.write(tile, hidden->view());
  }
}

void forward_layer(ForwardContext& context, const LayerSpec& layer) {
  if (context.sequences.tokens() == 0) return;
  base::check(context.cache == nullptr || context.sequences.count() == 1,
              "forward_layer: one sequence with a cache");
  LayerRun run(context, layer);
  if (layer.parallel) keep_mlp_input(run);
  if (layer.norm_place == NormPlace::kStream) norm_stream(run, layer.attention_norm);
  std::visit([&](const auto& attention) { run_attention(run, attention); }, layer.attention);
  if (layer.norm_place == NormPlace::kSum) norm_stream(run, layer.attention_norm);
  if (layer.norm_place == NormPlace::kStream) norm_stream(run, layer.mlp_norm);
  std::visit([&](const auto& mlp) { run_mlp(run, mlp); }, layer.mlp);
  if (layer.norm_place == NormPlace::kSum) norm_stream(run, layer.mlp_norm);
  if (layer.parallel) context.store.drop(Slot::kMlpIn);
  run.shares.gather_rows(context.backend, context.store, Slot::kHidden);
  context.weights.release(layer.index);
}

void forward_mtp_layer(ForwardContext& context, const ModelSpec& spec, const LayerSpec& layer) {
  base::check(layer.mtp.has_value(), "forward_mtp_layer: an MTP layer");
  if (context.sequences.tokens() == 0) return;
  const MtpSpec& mtp = *layer.mtp;
  LayerRun run(context, layer);
  const std::int64_t depth = layer.index - static_cast<std::int64_t>(spec.layers.size()) + 1;
  const std::vector<std::int32_t> ids = following_ids(context.sequences, depth);
  {
    const WeightHandle table =
        context.weights.table(mtp.embedding ? *mtp.embedding : spec.embedding);
    const Norm enorm(context, mtp.enorm);
    const std::optional<NormSpec> hnorm(mtp.hnorm);
    const Produce hidden = normed_hidden(run, hnorm);
    Stage stage = tile_stage(run, mtp.eh_proj.reads, 2 * spec.hidden, {&mtp.eh_proj});
    stage.produce = [&](std::size_t piece, MatrixView x) {
      const Tile& tile = run.tiles[piece];
      tensor::Tensor next =
          context.backend.memory().allocate({tile.rows, spec.hidden}, Dtype::kF32);
      context.backend.neural().embed(table->view(), ids_of(ids, tile), next.matrix());
      enorm.apply(next.matrix(), x.sub(0, tile.rows, 0, spec.hidden));
      hidden(piece, x.sub(0, tile.rows, spec.hidden, spec.hidden));
    };
    stage.consume = [&](std::size_t piece, std::span<const MatrixView> y) {
      const Tile& tile = run.tiles[piece];
      const auto out =
          context.store.lease(Slot::kHidden, tile.first_row, tile.rows, Access::kWrite);
      context.backend.memory().copy(y[0], out->view());
    };
    context.runner.run({&stage, 1});
    run.shares.gather_rows(context.backend, context.store, Slot::kHidden);
  }
  forward_layer(context, layer);
}

tensor::Tensor forward_mtp_head_input(ForwardContext& context, const LayerSpec& layer,
                                      std::int64_t first_row, std::int64_t rows) {
  base::check(layer.mtp.has_value(), "forward_mtp_head_input: an MTP layer");
  return normed_rows(context, layer.mtp->head_norm, first_row, rows);
}

tensor::Tensor forward_head_input(ForwardContext& context, const ModelSpec& spec,
                                  std::int64_t first_row, std::int64_t rows) {
  compute::Memory& memory = context.backend.memory();
  tensor::Tensor normed = normed_rows(context, spec.final_norm, first_row, rows);
  if (spec.head_proj) {
    const WeightHandle proj = context.weights.linear(*spec.head_proj);
    tensor::Tensor narrow = memory.allocate({rows, spec.head_proj->out_features}, Dtype::kF32);
    context.backend.linalg().linear(normed.matrix(), proj->matrix(), nullptr, narrow.matrix());
    normed = std::move(narrow);
  }
  return normed;
}

tensor::Tensor forward_head(ForwardContext& context, const ModelSpec& spec, std::int64_t first_row,
                            std::int64_t rows) {
  compute::Memory& memory = context.backend.memory();
  const tensor::Tensor normed = forward_head_input(context, spec, first_row, rows);
  const WeightHandle head = context.weights.linear(spec.head);
  WeightHandle bias;
  if (spec.head.bias)
    bias = context.weights.vector({spec.head_bias(), Role::kHead, spec.vocabulary});
  tensor::Tensor logits = memory.allocate({rows, spec.vocabulary}, Dtype::kF32);
  context.backend.linalg().linear(normed.matrix(), head->matrix(),
                                  bias ? bias->as<float>() : nullptr, logits.matrix());
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
