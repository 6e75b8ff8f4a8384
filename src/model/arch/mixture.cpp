#include "model/arch/mixture.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace whit::model::arch {

using base::ErrorKind;
using stats::Site;

MoeSpec mixture(const std::string& module, int layer, const MixtureShape& shape,
                RouterSpec router) {
  const stats::TapId in{layer, Site::kMlpIn};
  const std::int64_t hidden = shape.expert.hidden;
  MoeSpec moe;
  router.weight = linear(module + "gate", Role::kRouter, shape.experts, hidden, in);
  router.weight.quantizable = false;
  if (shape.correction_bias)
    router.bias =
        VectorSpec{module + "gate.e_score_correction_bias", Role::kRouterBias, shape.experts};
  moe.router = std::move(router);
  if (shape.shared.inner > 0)
    moe.shared =
        gated_mlp(module + shape.shared_name + ".", shape.shared, in, {layer, Site::kSharedMid});
  if (shape.shared_gate) {
    moe.shared_gate = linear(module + "shared_expert_gate", Role::kSharedGate, 1, hidden, in);
    moe.shared_gate->quantizable = false;
  }
  moe.experts.reserve(static_cast<std::size_t>(shape.experts));
  for (int e = 0; e < shape.experts; ++e)
    moe.experts.push_back(gated_mlp(fmt::format("{}experts.{}.", module, e), shape.expert,
                                    {layer, Site::kExpertIn, e}, {layer, Site::kExpertMid, e}));
  return moe;
}

std::int64_t read_experts(const Fields& config, std::initializer_list<std::string_view> keys,
                          std::int64_t layers) {
  constexpr std::int64_t kMostExpertsInModel = 200'000;
  const std::string_view key = config.one_of(keys);
  const std::int64_t experts = config.integer(key, 1, kMostExperts);
  if (layers * experts > kMostExpertsInModel)
    base::fail(ErrorKind::kInput, config.subject(key),
               "{} experts in {} layers; expected at most {} in all", experts, layers,
               kMostExpertsInModel);
  return experts;
}

float read_routed_scaling(const Fields& config) {
  return static_cast<float>(config.number_or("routed_scaling_factor", 1));
}

RouterSpec read_grouped_router(const Fields& config, std::int64_t experts) {
  RouterSpec router;
  router.top_k = config.integer("num_experts_per_tok", 1, experts);
  router.groups = config.present("n_group") ? config.integer("n_group", 1, experts) : 1;
  router.groups_kept =
      config.present("topk_group") ? config.integer("topk_group", 1, router.groups) : 1;
  if (experts % router.groups != 0)
    base::fail(ErrorKind::kInput, config.subject("n_group"),
               "found {}; expected a divisor of {} experts", router.groups, experts);
  const std::int64_t in_group = experts / router.groups;
  if (router.top_k > router.groups_kept * in_group)
    base::fail(ErrorKind::kInput, config.subject("num_experts_per_tok"),
               "found {}; expected at most {}, the experts of {} kept groups", router.top_k,
               router.groups_kept * in_group, router.groups_kept);
  router.scaling = read_routed_scaling(config);
  return router;
}

RouterSpec read_sigmoid_router(const Fields& config, std::int64_t experts) {
  config.require_text("topk_method", "noaux_tc");
  config.require_text("scoring_func", "sigmoid");
  RouterSpec router = read_grouped_router(config, experts);
  const std::int64_t in_group = experts / router.groups;
  if (router.groups > 1 && in_group < router.group_best)
    base::fail(ErrorKind::kInput, config.subject("n_group"),
               "found {} groups of {} expert; expected {} or more experts in a group",
               router.groups, in_group, router.group_best);
  router.renormalize = config.boolean_or("norm_topk_prob", true);
  return router;
}

RouterSpec read_softmax_router(const Fields& config, std::int64_t experts) {
  RouterSpec router;
  router.top_k = config.integer("num_experts_per_tok", 1, experts);
  router.score = compute::RouterScore::kSoftmax;
  router.renormalize = config.boolean_or("norm_topk_prob", false);
  return router;
}

void set_sparse_layers(const Fields& config, const MixtureShape& shape, const RouterSpec& router,
                       ModelSpec& spec) {
  const std::int64_t step = config.integer_or("decoder_sparse_step", 1);
  const std::vector<std::int64_t> dense = config.present("mlp_only_layers")
                                              ? config.integers("mlp_only_layers")
                                              : std::vector<std::int64_t>{};
  for (LayerSpec& layer : spec.layers) {
    if ((layer.index + 1) % step != 0) continue;
    if (std::find(dense.begin(), dense.end(), layer.index) != dense.end()) continue;
    layer.mlp = mixture(layer.prefix + "mlp.", layer.index, shape, router);
  }
}

}  // namespace whit::model::arch
