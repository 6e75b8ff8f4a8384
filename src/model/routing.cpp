#include "model/routing.h"

#include <algorithm>

namespace whit::model {

using tensor::Dtype;

namespace {

void file_tile(const compute::Routing& routing, const std::vector<float>& scores,
               std::int64_t first_row, std::size_t experts, Dispatch& dispatch) {
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
}

}  // namespace

Dispatch route_tokens(LayerRun& run, const RouterSpec& router, bool wants_scores) {
  ForwardContext& context = run.context;
  compute::Backend& backend = context.backend;
  const auto experts = static_cast<std::size_t>(router.weight.out_features);
  Dispatch dispatch;
  dispatch.rows.resize(experts);
  dispatch.weights.resize(experts);
  if (wants_scores) dispatch.scores.reserve(static_cast<std::size_t>(run.tokens()) * experts);

  const Produce norm = normed_hidden(run, run.layer.post_attention_norm);
  const WeightHandle weight = context.weights.linear(router.weight);
  const WeightHandle bias = router.bias ? context.weights.vector(*router.bias) : nullptr;
  std::int64_t largest = 0;
  for (const Tile& tile : run.tiles) largest = std::max(largest, tile.rows);
  tensor::Tensor buffer =
      backend.memory().allocate({largest, router.weight.out_features}, Dtype::kF32);
  const compute::RoutingArgs args{router.top_k, router.groups, router.groups_kept,
                                  router.renormalize, router.scaling};
  std::vector<float> scores;
  for (std::size_t piece = 0; piece < run.tiles.size(); ++piece) {
    const Tile& tile = run.tiles[piece];
    const auto in = context.store.lease(Slot::kMlpIn, tile.first_row, tile.rows,
                                        ActivationStore::Access::kWrite);
    norm(piece, in->view());
    const tensor::MatrixView logits = buffer.matrix().rows_of(0, tile.rows);
    backend.linalg().linear(in->view(), weight->matrix(), nullptr, logits);
    const compute::Routing routing = backend.neural().route_sigmoid(
        logits, bias ? bias->as<float>() : nullptr, args, wants_scores ? &scores : nullptr);
    file_tile(routing, scores, tile.first_row, experts, dispatch);
  }
  return dispatch;
}

float weight_if_chosen(const Dispatch& dispatch, const RouterSpec& router, std::int32_t row,
                       std::size_t expert) {
  const auto token = static_cast<std::size_t>(row);
  const float score = dispatch.scores[token * dispatch.rows.size() + expert];
  return router.scaling * (router.renormalize ? score / (dispatch.chosen[token] + 1e-20F) : score);
}

}  // namespace whit::model
