#include "base/error.h"
#include "model/arch/latent_attention.h"
#include "model/arch/mixture.h"

namespace whit::model::arch {

using base::ErrorKind;
using stats::Site;

namespace {

// Softmax of all experts; `greedy` takes the best of them, `group_limited_greedy` the best of the
// groups whose best expert is best. Weights are not made to sum to one: implementations differ in
// what norm_topk_prob would do (transformers nothing, the model's own code no scaling either).
RouterSpec read_router(const Fields& config, std::int64_t experts) {
  config.require_text("scoring_func", "softmax");
  config.refuse_true("norm_topk_prob");
  const std::string method =
      config.present("topk_method") ? config.text_or("topk_method", "") : std::string("greedy");
  RouterSpec router;
  if (method == "greedy") {
    router.top_k = config.integer("num_experts_per_tok", 1, experts);
    router.scaling = read_routed_scaling(config);
  } else if (method == "group_limited_greedy") {
    router = read_grouped_router(config, experts);
  } else {
    base::fail(ErrorKind::kUnsupported, config.subject("topk_method"),
               "found \"{}\"; expected greedy or group_limited_greedy", method.substr(0, 80));
  }
  router.score = compute::RouterScore::kSoftmax;
  router.group_best = 1;
  router.renormalize = false;
  return router;
}

}  // namespace

// DeepSeek-V2, V2-Lite and Coder-V2.
ModelSpec deepseek_v2(const nlohmann::json& json) {
  const Fields config(json);
  const LatentShape latent = read_latent(config);
  const std::int64_t layers = config.integer("num_hidden_layers", 1, kMostLayers);
  const bool bias = config.boolean_or("mlp_bias", false);
  const auto activation = config.activation_or("hidden_act", "silu");
  const MlpShape dense{latent.hidden, config.integer("intermediate_size"), bias, activation};
  MixtureShape experts;
  experts.experts = read_experts(config, {"n_routed_experts", "num_experts"}, layers);
  experts.expert = {latent.hidden, config.integer("moe_intermediate_size"), false, activation};
  experts.shared = experts.expert;
  experts.shared.bias = bias;
  experts.shared.inner *=
      config.present("n_shared_experts") ? config.integer("n_shared_experts", 0, kMostExperts) : 0;
  const RouterSpec router = read_router(config, experts.experts);
  const std::int64_t dense_layers = config.integer_or("first_k_dense_replace", 0, 0, kMostLayers);
  const std::int64_t moe_every = config.integer_or("moe_layer_freq", 1);
  RopeShape rotary;
  rotary.columns = latent.rope;
  rotary.interleaved = true;
  const Rope rope = read_rope(config, rotary);
  const float eps = norm_epsilon(config, 1e-6);
  ModelSpec spec = decoder_frame(config, "deepseek_v2", eps);
  for (int i = 0; i < layers; ++i) {
    LayerSpec layer = decoder_layer(i, latent.hidden, eps);
    layer.attention = latent_attention(layer.prefix + "self_attn.", i, latent, rope);
    const std::string mlp = layer.prefix + "mlp.";
    if (i >= dense_layers && i % moe_every == 0)
      layer.mlp = mixture(mlp, i, experts, router);
    else
      layer.mlp = gated_mlp(mlp, dense, {i, Site::kMlpIn}, {i, Site::kMlpMid});
    spec.layers.push_back(std::move(layer));
  }
  return spec;
}

}  // namespace whit::model::arch
