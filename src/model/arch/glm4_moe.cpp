#include "model/arch/dense_decoder.h"
#include "model/arch/mixture.h"
#include "model/arch/prediction.h"

namespace whit::model::arch {

using stats::Site;

namespace {

AttentionShape read_glm_attention(const Fields& config) {
  constexpr std::int64_t kDefaultKvHeads = 8;
  AttentionShape shape = read_attention(config, {kDefaultKvHeads, {}});
  shape.o_bias = false;
  return shape;
}

RopeSpec read_glm_rope(const Fields& config, std::int64_t head_dim) {
  constexpr double kDefaultPartial = 0.5;
  RopeShape shape;
  shape.columns = rotary_columns(config, head_dim, kDefaultPartial);
  shape.partial = true;
  return read_rope(config, shape).spec;
}

MixtureShape read_mixture(const Fields& config, std::int64_t hidden, std::int64_t layers) {
  MixtureShape shape;
  const auto activation = config.activation_or("hidden_act", "silu");
  shape.experts =
      read_experts(config, {"n_routed_experts", "num_local_experts", "num_experts"}, layers);
  shape.expert = {hidden, config.integer("moe_intermediate_size"), false, activation};
  shape.shared = shape.expert;
  shape.shared.inner *= config.integer_or("n_shared_experts", 1, 0, kMostExperts);
  shape.correction_bias = true;
  return shape;
}

}  // namespace

// GLM-4.5 and 4.6: grouped-query attention on half of each head's columns, DeepSeek-V3's mixture
// and prediction layer.
ModelSpec glm4_moe(const nlohmann::json& json) {
  const Fields config(json);
  const AttentionShape shape = read_glm_attention(config);
  const RopeSpec rope = read_glm_rope(config, shape.head_dim);
  const float eps = norm_epsilon(config, 1e-5);
  const std::int64_t layers = config.integer("num_hidden_layers", 1, kMostLayers);
  const std::int64_t mtp_layers = read_prediction_layers(config, 1);
  const MixtureShape experts = read_mixture(config, shape.hidden, layers + mtp_layers);
  const RouterSpec router = read_sigmoid_router(config, experts.experts);
  const MlpShape dense{shape.hidden, config.integer("intermediate_size"), false,
                       experts.expert.activation};
  const std::int64_t dense_layers = config.integer_or("first_k_dense_replace", 1, 0, kMostLayers);
  const bool norms = config.boolean_or("use_qk_norm", false);
  ModelSpec spec = decoder_frame(config, "glm4_moe", eps);
  for (int i = 0; i < layers + mtp_layers; ++i) {
    LayerSpec layer = decoder_layer(i, shape.hidden, eps);
    layer.attention = separate_attention(layer.prefix + "self_attn.", i, shape, rope);
    if (norms)
      add_query_key_norms(attention_of(layer), layer.prefix + "self_attn.", shape.head_dim,
                          shape.head_dim, eps);
    const std::string mlp = layer.prefix + "mlp.";
    if (i >= dense_layers)
      layer.mlp = mixture(mlp, i, experts, router);
    else
      layer.mlp = gated_mlp(mlp, dense, {i, Site::kMlpIn}, {i, Site::kMlpMid});
    if (i >= layers) layer.mtp = prediction(layer, spec, eps);
    (i >= layers ? spec.mtp_layers : spec.layers).push_back(std::move(layer));
  }
  return spec;
}

}  // namespace whit::model::arch
