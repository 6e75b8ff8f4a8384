#include <cmath>

#include "base/error.h"
#include "model/arch/architectures.h"
#include "model/arch/rope.h"

namespace whit::model::arch {

using base::ErrorKind;
using stats::Site;

namespace {

// The norms inside MLA keep their own epsilon, whatever rms_norm_eps says.
constexpr float kLatentNormEps = 1e-6F;
constexpr std::int64_t kMostExperts = 16384;
// Experts of all layers together; a bound on what a hostile config can make whit allocate.
constexpr std::int64_t kMostExpertsInModel = 200'000;

struct Dimensions {
  std::int64_t hidden, inner, expert_inner, shared_inner;
  std::int64_t heads, nope, rope, v, kv_rank;
  std::optional<std::int64_t> q_rank;
  std::int64_t experts, layers, dense_layers, moe_every, mtp_layers;
  bool attention_bias;
  float eps;
};

std::int64_t mtp_layers(const Fields& config) {
  constexpr std::int64_t kMost = 64;
  if (config.present("num_nextn_predict_layers"))
    return config.integer("num_nextn_predict_layers", 0, kMost);
  return config.present("num_mtp_layers") ? config.integer("num_mtp_layers", 0, kMost) : 0;
}

Dimensions read_dimensions(const Fields& config) {
  Dimensions d{};
  d.hidden = config.integer("hidden_size");
  d.inner = config.integer("intermediate_size");
  d.expert_inner = config.integer("moe_intermediate_size");
  const std::int64_t shared =
      config.present("n_shared_experts") ? config.integer("n_shared_experts", 0, kMostExperts) : 0;
  d.shared_inner = shared * d.expert_inner;
  d.heads = config.integer("num_attention_heads");
  d.nope = config.integer("qk_nope_head_dim");
  d.rope = config.integer("qk_rope_head_dim", 2);
  d.v = config.integer("v_head_dim");
  d.kv_rank = config.integer("kv_lora_rank");
  // Absence would be read as 1536 by transformers: too easy to get wrong, so it must be said.
  d.q_rank = config.has("q_lora_rank") ? config.maybe_integer("q_lora_rank")
                                       : config.integer("q_lora_rank");
  d.experts = config.integer("n_routed_experts", 1, kMostExperts);
  d.layers = config.integer("num_hidden_layers", 1, kMostLayers);
  d.dense_layers = config.integer("first_k_dense_replace", 0, kMostLayers);
  d.moe_every = config.integer_or("moe_layer_freq", 1);
  d.mtp_layers = mtp_layers(config);
  if ((d.layers + d.mtp_layers) * d.experts > kMostExpertsInModel)
    base::fail(ErrorKind::kInput, config.subject("n_routed_experts"),
               "{} experts in {} layers; expected at most {} in all", d.experts,
               d.layers + d.mtp_layers, kMostExpertsInModel);
  d.attention_bias = config.boolean_or("attention_bias", false);
  d.eps = norm_epsilon(config);
  return d;
}

void refuse_variants(const Fields& config, const Dimensions& d) {
  config.require_text("hidden_act", "silu");
  config.require_text("topk_method", "noaux_tc");
  config.require_text("scoring_func", "sigmoid");
  const std::int64_t kv_heads = config.maybe_integer("num_key_value_heads").value_or(d.heads);
  if (kv_heads != d.heads)
    base::fail(ErrorKind::kUnsupported, config.subject("num_key_value_heads"),
               "found {}; expected {}, as many as num_attention_heads", kv_heads, d.heads);
}

MlaSpec attention(const std::string& prefix, int layer, const Dimensions& d, const Rope& rope) {
  const stats::TapId in{layer, Site::kAttnIn};
  const std::int64_t qk_dim = d.nope + d.rope;
  MlaSpec spec;
  if (d.q_rank) {
    spec.q_a =
        linear(prefix + "q_a_proj", Role::kAttnQA, *d.q_rank, d.hidden, in, d.attention_bias);
    spec.q_a_norm = norm(prefix + "q_a_layernorm", *d.q_rank, kLatentNormEps);
    spec.q_b = linear(prefix + "q_b_proj", Role::kAttnQB, d.heads * qk_dim, *d.q_rank,
                      {layer, Site::kQLatent});
  } else {
    spec.q_b = linear(prefix + "q_proj", Role::kAttnQB, d.heads * qk_dim, d.hidden, in);
  }
  spec.kv_a = linear(prefix + "kv_a_proj_with_mqa", Role::kAttnKvA, d.kv_rank + d.rope, d.hidden,
                     in, d.attention_bias);
  spec.kv_a_norm = norm(prefix + "kv_a_layernorm", d.kv_rank, kLatentNormEps);
  spec.kv_b = linear(prefix + "kv_b_proj", Role::kAttnKvB, d.heads * (d.nope + d.v), d.kv_rank,
                     {layer, Site::kKvLatent});
  spec.o = linear(prefix + "o_proj", Role::kAttnO, d.hidden, d.heads * d.v, {layer, Site::kAttnOut},
                  d.attention_bias);
  spec.heads = d.heads;
  spec.nope_dim = d.nope;
  spec.rope_dim = d.rope;
  spec.v_dim = d.v;
  spec.kv_rank = d.kv_rank;
  spec.scale = static_cast<float>(rope.softmax_factor / std::sqrt(static_cast<double>(qk_dim)));
  spec.rope = rope.spec;
  return spec;
}

// Groups, top-k and scaling of the router; the same in every layer.
RouterSpec read_router(const Fields& config, std::int64_t experts) {
  RouterSpec router;
  router.top_k = config.integer("num_experts_per_tok", 1, experts);
  router.groups = config.present("n_group") ? config.integer("n_group", 1, experts) : 1;
  router.groups_kept =
      config.present("topk_group") ? config.integer("topk_group", 1, router.groups) : 1;
  if (experts % router.groups != 0)
    base::fail(ErrorKind::kInput, config.subject("n_group"),
               "found {}; expected a divisor of {} experts", router.groups, experts);
  const std::int64_t in_group = experts / router.groups;
  if (router.groups > 1 && in_group < 2)
    base::fail(ErrorKind::kInput, config.subject("n_group"),
               "found {} groups of {} expert; expected 2 or more experts in a group", router.groups,
               in_group);
  if (router.top_k > router.groups_kept * in_group)
    base::fail(ErrorKind::kInput, config.subject("num_experts_per_tok"),
               "found {}; expected at most {}, the experts of {} kept groups", router.top_k,
               router.groups_kept * in_group, router.groups_kept);
  router.renormalize = config.boolean_or("norm_topk_prob", true);
  router.scaling = static_cast<float>(config.number("routed_scaling_factor"));
  return router;
}

MoeSpec mixture(const std::string& prefix, int layer, const Dimensions& d, RouterSpec router) {
  const stats::TapId in{layer, Site::kMlpIn};
  MoeSpec moe;
  router.weight = linear(prefix + "gate", Role::kRouter, d.experts, d.hidden, in);
  router.weight.quantizable = false;
  router.bias = VectorSpec{prefix + "gate.e_score_correction_bias", Role::kRouterBias, d.experts};
  moe.router = std::move(router);
  if (d.shared_inner > 0)
    moe.shared = gated_mlp(prefix + "shared_experts.", {d.hidden, d.shared_inner}, in,
                           {layer, Site::kSharedMid});
  moe.experts.reserve(static_cast<std::size_t>(d.experts));
  for (int e = 0; e < d.experts; ++e)
    moe.experts.push_back(gated_mlp(fmt::format("{}experts.{}.", prefix, e),
                                    {d.hidden, d.expert_inner}, {layer, Site::kExpertIn, e},
                                    {layer, Site::kExpertMid, e}));
  return moe;
}

MtpSpec prediction(const LayerSpec& layer, const ModelSpec& spec, const Dimensions& d) {
  MtpSpec mtp;
  mtp.enorm = norm(layer.prefix + "enorm", d.hidden, d.eps);
  mtp.hnorm = norm(layer.prefix + "hnorm", d.hidden, d.eps);
  mtp.eh_proj = linear(layer.prefix + "eh_proj", Role::kMtpProj, d.hidden, 2 * d.hidden,
                       {layer.index, Site::kMtpIn});
  mtp.eh_proj.quantizable = false;
  mtp.head_norm = norm(layer.prefix + "shared_head.norm", d.hidden, d.eps);
  mtp.head = spec.head;
  mtp.head->module = layer.prefix + "shared_head.head";
  mtp.embedding = spec.embedding;
  mtp.embedding->module = layer.prefix + "embed_tokens";
  return mtp;
}

}  // namespace

ModelSpec deepseek_v3(const nlohmann::json& json) {
  const Fields config(json);
  const Dimensions d = read_dimensions(config);
  refuse_variants(config, d);
  const Rope rope = read_rope(config, d.rope, config.boolean_or("rope_interleave", true));
  const RouterSpec router = read_router(config, d.experts);
  ModelSpec spec = decoder_frame(config, "deepseek_v3", d.eps);
  for (int i = 0; i < d.layers + d.mtp_layers; ++i) {
    LayerSpec layer;
    layer.index = i;
    layer.prefix = fmt::format("model.layers.{}.", i);
    layer.input_norm = norm(layer.prefix + "input_layernorm", d.hidden, d.eps);
    layer.attention = attention(layer.prefix + "self_attn.", i, d, rope);
    layer.post_attention_norm = norm(layer.prefix + "post_attention_layernorm", d.hidden, d.eps);
    const std::string mlp = layer.prefix + "mlp.";
    const bool is_mtp = i >= d.layers;
    if (is_mtp || (i >= d.dense_layers && i % d.moe_every == 0))
      layer.mlp = mixture(mlp, i, d, router);
    else
      layer.mlp = gated_mlp(mlp, {d.hidden, d.inner}, {i, Site::kMlpIn}, {i, Site::kMlpMid});
    if (is_mtp) layer.mtp = prediction(layer, spec, d);
    (is_mtp ? spec.mtp_layers : spec.layers).push_back(std::move(layer));
  }
  return spec;
}

}  // namespace whit::model::arch
