#include "model/routing.h"

#include <algorithm>

namespace whit::model {

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
  const auto experts = static_cast<std::size_t>(router.weight.out_features);
  Dispatch dispatch;
  dispatch.rows.resize(experts);
  dispatch.weights.resize(experts);
  if (wants_scores) dispatch.scores.reserve(static_cast<std::size_t>(run.tokens()) * experts);

  const Produce norm = normed_hidden(run, run.layer.post_attention_norm);
  for (std::size_t piece = 0; piece < run.tiles.size(); ++piece) {
    const Tile& tile = run.tiles[piece];
    const auto in = context.store.lease(Slot::kMlpIn, tile.first_row, tile.rows,
                                        ActivationStore::Access::kWrite);
    norm(piece, in->view());
  }

  const WeightHandle bias = router.bias ? context.weights.vector(*router.bias) : nullptr;
  const compute::RoutingArgs args{router.top_k, router.groups, router.groups_kept,
                                  router.renormalize, router.scaling};
  std::vector<float> scores;
  Stage stage = tile_stage(run, router.weight.reads, run.hidden(), {&router.weight});
  stage.produce = copied_slot(run, Slot::kMlpIn);
  stage.consume = [&](std::size_t piece, std::span<const tensor::MatrixView> logits) {
    const compute::Routing routing = context.backend.neural().route_sigmoid(
        logits[0], bias ? bias->as<float>() : nullptr, args, wants_scores ? &scores : nullptr);
    file_tile(routing, scores, run.tiles[piece].first_row, experts, dispatch);
  };
  context.runner.run({&stage, 1});
  return dispatch;
}

float weight_if_chosen(const Dispatch& dispatch, const RouterSpec& router, std::int32_t row,
                       std::size_t expert) {
  const auto token = static_cast<std::size_t>(row);
  const float score = dispatch.scores[token * dispatch.rows.size() + expert];
  return router.scaling * (router.renormalize ? score / (dispatch.chosen[token] + 1e-20F) : score);
}

}  // namespace whit::model
