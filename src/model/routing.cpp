#include "model/routing.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace whit::model {

namespace {

// What one tile's tokens are routed to.
struct RoutedTile {
  compute::Routing routing;
  std::vector<float> scores;  // [T,E] where wanted
  std::vector<float> shared;  // [T] where the shared expert is gated
};

template <typename Value>
void append(comm::Bytes& bytes, const std::vector<Value>& values) {
  const std::uint64_t count = values.size();
  const auto* length = reinterpret_cast<const std::byte*>(&count);
  bytes.insert(bytes.end(), length, length + sizeof count);
  const auto data = std::as_bytes(std::span(values));
  bytes.insert(bytes.end(), data.begin(), data.end());
}

template <typename Value>
void take(std::span<const std::byte>& bytes, std::vector<Value>& values) {
  std::uint64_t count = 0;
  std::memcpy(&count, bytes.data(), sizeof count);
  bytes = bytes.subspan(sizeof count);
  values.resize(count);
  std::memcpy(values.data(), bytes.data(), count * sizeof(Value));
  bytes = bytes.subspan(count * sizeof(Value));
}

// Afterwards every rank knows where all tokens go.
void exchange(const Shares& shares, std::int64_t top_k, std::vector<RoutedTile>& tiles) {
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    RoutedTile& tile = tiles[i];
    const int owner = shares.owner_of_tile(i);
    comm::Bytes sent;
    if (owner == shares.rank()) {
      append(sent, tile.routing.experts);
      append(sent, tile.routing.weights);
      append(sent, tile.scores);
      append(sent, tile.shared);
    }
    const comm::Bytes received = shares.ranks().broadcast_v(owner, sent);
    std::span<const std::byte> rest(received);
    tile.routing.top_k = top_k;
    take(rest, tile.routing.experts);
    take(rest, tile.routing.weights);
    take(rest, tile.scores);
    take(rest, tile.shared);
  }
}

void file_tile(const RoutedTile& tile, std::int64_t first_row, std::size_t experts,
               Dispatch& dispatch) {
  const compute::Routing& routing = tile.routing;
  const std::vector<float>& scores = tile.scores;
  const auto top_k = static_cast<std::size_t>(routing.top_k);
  const std::size_t tokens = routing.experts.size() / top_k;
  for (std::size_t t = 0; t < tokens; ++t) {
    float chosen = 0;
    for (std::size_t k = 0; k < top_k; ++k) {
      const auto expert = static_cast<std::size_t>(routing.experts[t * top_k + k]);
      dispatch.rows[expert].push_back(static_cast<std::int32_t>(first_row) +
                                      static_cast<std::int32_t>(t));
      dispatch.weights[expert].push_back(routing.weights[t * top_k + k]);
      if (!scores.empty()) chosen += scores[t * experts + expert];
    }
    if (!scores.empty()) dispatch.chosen.push_back(chosen);
  }
  dispatch.scores.insert(dispatch.scores.end(), scores.begin(), scores.end());
  dispatch.shared.insert(dispatch.shared.end(), tile.shared.begin(), tile.shared.end());
}

compute::RoutingArgs arguments(const RouterSpec& router) {
  compute::RoutingArgs args;
  args.top_k = router.top_k;
  args.groups = router.groups;
  args.groups_kept = router.groups_kept;
  args.group_best = router.group_best;
  args.score = router.score;
  args.renormalize = router.renormalize;
  args.scaling = router.scaling;
  return args;
}

// The sigmoid of every row's one logit.
std::vector<float> weigh_shared(compute::Backend& backend, tensor::ConstMatrixView logits) {
  std::vector<float> weights;
  tensor::Tensor column = backend.memory().allocate({logits.rows, 1}, tensor::Dtype::kF32);
  backend.memory().copy(logits, column.matrix());
  for (const float logit : tensor::to_f32_vector(backend.memory().download(column.view()).view()))
    weights.push_back(1.0F / (1.0F + std::exp(-logit)));
  return weights;
}

}  // namespace

Dispatch route_tokens(LayerRun& run, const MoeSpec& moe, bool wants_scores) {
  ForwardContext& context = run.context;
  const RouterSpec& router = moe.router;
  const auto experts = static_cast<std::size_t>(router.weight.out_features);
  Dispatch dispatch;
  dispatch.rows.resize(experts);
  dispatch.weights.resize(experts);
  if (wants_scores) dispatch.scores.reserve(static_cast<std::size_t>(run.tokens()) * experts);

  const Produce norm = normed_hidden(run, run.inside(run.layer.mlp_norm));
  for (std::size_t piece = 0; piece < run.tiles.size(); ++piece) {
    const Tile& tile = run.tiles[piece];
    const auto in = context.store.lease(Slot::kMlpIn, tile.first_row, tile.rows,
                                        ActivationStore::Access::kWrite);
    norm(piece, in->view());
  }

  const WeightHandle bias = router.bias ? context.weights.vector(*router.bias) : nullptr;
  const compute::RoutingArgs args = arguments(router);
  std::vector<RoutedTile> routed(run.shares.tiles().size());
  Stage stage = tile_stage(run, router.weight.reads, run.hidden(), {&router.weight});
  if (moe.shared_gate) stage.linears.push_back(&*moe.shared_gate);
  stage.produce = copied_slot(run, Slot::kMlpIn);
  stage.consume = [&](std::size_t piece, std::span<const tensor::MatrixView> logits) {
    RoutedTile tile;
    tile.routing = context.backend.neural().route(logits[0], bias ? bias->as<float>() : nullptr,
                                                  args, wants_scores ? &tile.scores : nullptr);
    if (moe.shared_gate) tile.shared = weigh_shared(context.backend, logits[1]);
    if (run.shares.shared())
      routed[run.own[piece]] = std::move(tile);
    else
      file_tile(tile, run.tiles[piece].first_row, experts, dispatch);
  };
  context.runner.run({&stage, 1});
  if (!run.shares.shared()) return dispatch;
  exchange(run.shares, router.top_k, routed);
  for (std::size_t i = 0; i < routed.size(); ++i)
    file_tile(std::exchange(routed[i], {}), run.shares.tiles()[i].first_row, experts, dispatch);
  run.shares.gather_rows(context.backend, context.store, Slot::kMlpIn);
  return dispatch;
}

float weight_if_chosen(const Dispatch& dispatch, const RouterSpec& router, std::int32_t row,
                       std::size_t expert) {
  const auto token = static_cast<std::size_t>(row);
  const float score = dispatch.scores[token * dispatch.rows.size() + expert];
  return router.scaling * (router.renormalize ? score / (dispatch.chosen[token] + 1e-20F) : score);
}

}  // namespace whit::model
