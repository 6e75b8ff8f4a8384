#pragma once

#include <functional>
#include <vector>

#include "model/forward.h"
#include "model/shares.h"

// What the parts of a decoder layer share while it runs.
namespace whit::model {

struct LayerRun {
  LayerRun(ForwardContext& forward, const LayerSpec& spec)
      : context(forward),
        layer(spec),
        shares(forward.ranks, forward.sequences, forward.backend.tile_tokens()),
        own(shares.own()) {
    for (const std::size_t i : own) tiles.push_back(shares.tiles()[i]);
  }

  ForwardContext& context;
  const LayerSpec& layer;
  Shares shares;
  std::vector<std::size_t> own;  // which of all tiles this rank works on
  std::vector<Tile> tiles;       // those

  std::int64_t hidden() const {
    return std::visit([](const auto& attention) { return attention.o.out_features; },
                      layer.attention);
  }
  std::int64_t tokens() const { return context.sequences.tokens(); }
  // `norm` where the layer's norms stand between the stream and its halves, else none.
  std::optional<NormSpec> inside(const std::optional<NormSpec>& norm) const {
    return layer.norm_place == NormPlace::kInput ? norm : std::nullopt;
  }
};

// Whether the forward asks for it, and nobody looks at what would be kept, or rounds it.
bool may_recompute(const ForwardContext& context);
// What the runner applies to a stage's hidden state, for whoever multiplies by it later.
std::vector<WeightHandle> weights_of(LayerRun& run, Stage stage);

// A norm whose vectors are on the device, or none.
class Norm {
 public:
  Norm() = default;
  Norm(compute::Backend& backend, WeightSource& weights, const NormSpec& spec);
  Norm(ForwardContext& context, const NormSpec& spec);
  Norm(ForwardContext& context, const std::optional<NormSpec>& spec);
  explicit operator bool() const { return backend_ != nullptr; }
  // Rows of spec.weight.size columns; out may be x.
  void apply(tensor::ConstMatrixView x, tensor::MatrixView out) const;
  // out = the gradient by x, where that by the normed rows is dy; out may be dy.
  void apply_back(tensor::ConstMatrixView x, tensor::ConstMatrixView dy,
                  tensor::MatrixView out) const;

 private:
  compute::Backend* backend_ = nullptr;
  WeightHandle weight_, bias_;
  compute::NormArgs args_;
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

// x = norm of kHidden, or kHidden itself where there is none.
Produce normed_hidden(LayerRun& run, const std::optional<NormSpec>& norm);
// x = the first columns of a slot.
Produce copied_slot(LayerRun& run, Slot slot);
// kHidden += residual_scale * y[0], normed first where there is a norm.
Consume added_to_hidden(LayerRun& run, const std::optional<NormSpec>& norm);
// slot = the mid of `mlp`, whose input linears gave y.
Consume activated_into(LayerRun& run, const MlpSpec& mlp, Slot slot);

// How the layer's cache rounds its rows, or null.
const Serving::Cache* cache_rounding(const LayerRun& run);

// Calls body(first row within the tile, rows, sequence) for each sequence of a tile that has rows.
void for_sequences(const LayerRun& run, const Tile& tile,
                   const std::function<void(std::int64_t, std::int64_t, std::int64_t)>& body);
// Rows of a tile at which its sequences begin, then the number of its rows.
std::vector<std::int64_t> starts_in(const LayerRun& run, const Tile& tile);

}  // namespace whit::model
