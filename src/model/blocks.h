#pragma once

#include <functional>
#include <vector>

#include "model/forward.h"

// What the parts of a decoder layer share while it runs.
namespace whit::model {

struct LayerRun {
  ForwardContext& context;
  const LayerSpec& layer;
  std::vector<Tile> tiles;

  std::int64_t hidden() const { return layer.input_norm.weight.size; }
  std::int64_t tokens() const { return context.sequences.tokens(); }
};

// Each advances kHidden by one half of the layer.
void run_attention(LayerRun& run, const GqaSpec& spec);
void run_attention(LayerRun& run, const MlaSpec& spec);
void run_mlp(LayerRun& run, const MlpSpec& spec);
void run_mlp(LayerRun& run, const MoeSpec& spec);

// A stage whose pieces are the run's tiles.
Stage tile_stage(const LayerRun& run, stats::TapId site, std::int64_t width,
                 std::vector<const LinearSpec*> linears);

using Produce = std::function<void(std::size_t, tensor::MatrixView)>;
using Consume = std::function<void(std::size_t, std::span<const tensor::MatrixView>)>;

// x = norm of kHidden.
Produce normed_hidden(LayerRun& run, const NormSpec& norm);
// x = the first columns of a slot.
Produce copied_slot(LayerRun& run, Slot slot);
// kHidden += y[0].
Consume added_to_hidden(LayerRun& run);
// slot = silu(y[0]) * y[1].
Consume gated_into(LayerRun& run, Slot slot);

// Calls body(first row within the tile, rows, sequence) for each sequence of a tile that has rows.
void for_sequences(const LayerRun& run, const Tile& tile,
                   const std::function<void(std::int64_t, std::int64_t, std::int64_t)>& body);

}  // namespace whit::model
