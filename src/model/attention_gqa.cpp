#include "model/blocks.h"
#include "model/rotary.h"

namespace whit::model {

using compute::HeadView;
using tensor::ConstMatrixView;
using tensor::MatrixView;

namespace {

// Attention of every sequence of a tile; q and k are rotated.
void attend(LayerRun& run, const GqaSpec& spec, const Tile& tile, std::span<const MatrixView> qkv,
            MatrixView out) {
  const auto layer = static_cast<std::size_t>(run.layer.index);
  for_sequences(run, tile, [&](std::int64_t row0, std::int64_t rows, std::int64_t) {
    ConstMatrixView keys = qkv[1].rows_of(row0, rows);
    ConstMatrixView values = qkv[2].rows_of(row0, rows);
    if (run.context.cache != nullptr) {
      keys = run.context.cache->append(layer, 0, keys);
      values = run.context.cache->append(layer, 1, values);
    }
    compute::AttentionArgs args;
    args.heads = spec.heads;
    args.kv_heads = spec.kv_heads;
    args.q = HeadView{qkv[0].rows_of(row0, rows), 0, spec.head_dim, spec.head_dim};
    args.k = HeadView{keys, 0, spec.head_dim, spec.head_dim};
    args.v = HeadView{values, 0, spec.head_dim, spec.head_dim};
    args.scale = spec.scale;
    args.window = spec.window;
    run.context.backend.neural().attention(args, out.rows_of(row0, rows));
  });
}

}  // namespace

void run_attention(LayerRun& run, const GqaSpec& spec) {
  ForwardContext& context = run.context;
  const std::int64_t width = spec.heads * spec.head_dim;
  Rotary rotary(run, spec.rope);
  context.store.create(Slot::kQuery, run.tokens(), width);

  Stage in = tile_stage(run, spec.q.reads, run.hidden(), {&spec.q, &spec.k, &spec.v});
  in.produce = normed_hidden(run, run.layer.input_norm);
  in.consume = [&](std::size_t piece, std::span<const MatrixView> y) {
    const Tile& tile = run.tiles[piece];
    rotary.rotate(tile, y[0], spec.heads, 0, spec.head_dim);
    rotary.rotate(tile, y[1], spec.kv_heads, 0, spec.head_dim);
    const auto out = context.store.lease(Slot::kQuery, tile.first_row, tile.rows,
                                         ActivationStore::Access::kWrite);
    attend(run, spec, tile, y, out->view());
  };
  context.runner.run({&in, 1});

  Stage out = tile_stage(run, spec.o.reads, width, {&spec.o});
  out.produce = copied_slot(run, Slot::kQuery);
  out.consume = added_to_hidden(run);
  context.runner.run({&out, 1});
  context.store.drop(Slot::kQuery);
}

}  // namespace whit::model
