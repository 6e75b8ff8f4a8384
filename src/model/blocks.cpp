#include "model/blocks.h"

#include <utility>

namespace whit::model {

using Access = ActivationStore::Access;

Stage tile_stage(const LayerRun& run, stats::TapId site, std::int64_t width,
                 std::vector<const LinearSpec*> linears) {
  Stage stage;
  stage.site = site;
  stage.width = width;
  stage.linears = std::move(linears);
  for (const Tile& tile : run.tiles) stage.piece_rows.push_back(tile.rows);
  return stage;
}

Produce normed_hidden(LayerRun& run, const NormSpec& norm) {
  WeightHandle weight = run.context.weights.vector(norm.weight);
  return
      [&run, weight = std::move(weight), eps = norm.eps](std::size_t piece, tensor::MatrixView x) {
        const Tile& tile = run.tiles[piece];
        const auto hidden =
            run.context.store.lease(Slot::kHidden, tile.first_row, tile.rows, Access::kRead);
        run.context.backend.neural().rms_norm(hidden->view(), weight->as<float>(), eps, x);
      };
}

Produce copied_slot(LayerRun& run, Slot slot) {
  return [&run, slot](std::size_t piece, tensor::MatrixView x) {
    const Tile& tile = run.tiles[piece];
    const auto lease = run.context.store.lease(slot, tile.first_row, tile.rows, Access::kRead);
    run.context.backend.memory().copy(lease->view().sub(0, tile.rows, 0, x.cols), x);
  };
}

Consume added_to_hidden(LayerRun& run) {
  return [&run](std::size_t piece, std::span<const tensor::MatrixView> y) {
    const Tile& tile = run.tiles[piece];
    const auto hidden =
        run.context.store.lease(Slot::kHidden, tile.first_row, tile.rows, Access::kUpdate);
    run.context.backend.neural().add(hidden->view(), y[0]);
  };
}

Consume gated_into(LayerRun& run, Slot slot) {
  return [&run, slot](std::size_t piece, std::span<const tensor::MatrixView> y) {
    const Tile& tile = run.tiles[piece];
    const auto mid = run.context.store.lease(slot, tile.first_row, tile.rows, Access::kWrite);
    run.context.backend.neural().silu_mul(y[0], y[1], mid->view());
  };
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

}  // namespace whit::model
