#include "model/routing.h"

#include <algorithm>
#include <cmath>

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

// Appends the sigmoid of every row's one logit.
void weigh_shared(compute::Backend& backend, tensor::ConstMatrixView logits, Dispatch& dispatch) {
  tensor::Tensor column = backend.memory().allocate({logits.rows, 1}, tensor::Dtype::kF32);
  backend.memory().copy(logits, column.matrix());
  for (const float logit : tensor::to_f32_vector(backend.memory().download(column.view()).view()))
    dispatch.shared.push_back(1.0F / (1.0F + std::exp(-logit)));
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
  std::vector<float> scores;
  Stage stage = tile_stage(run, router.weight.reads, run.hidden(), {&router.weight});
  if (moe.shared_gate) stage.linears.push_back(&*moe.shared_gate);
  stage.produce = copied_slot(run, Slot::kMlpIn);
  stage.consume = [&](std::size_t piece, std::span<const tensor::MatrixView> logits) {
    const compute::Routing routing = context.backend.neural().route(
        logits[0], bias ? bias->as<float>() : nullptr, args, wants_scores ? &scores : nullptr);
    if (moe.shared_gate) weigh_shared(context.backend, logits[1], dispatch);
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
