#include "model/arch/latent_attention.h"
#include "model/arch/mixture.h"
#include "model/arch/prediction.h"

namespace whit::model::arch {

using stats::Site;

namespace {

MixtureShape read_mixture(const Fields& config, std::int64_t layers) {
  MixtureShape shape;
  const auto activation = config.activation_or("hidden_act", "silu");
  const std::int64_t hidden = config.integer("hidden_size");
  shape.experts = read_experts(config, {"n_routed_experts", "num_experts"}, layers);
  shape.expert = {hidden, config.integer("moe_intermediate_size"), false, activation};
  shape.shared = shape.expert;
  shape.shared.inner *=
      config.present("n_shared_experts") ? config.integer("n_shared_experts", 0, kMostExperts) : 0;
  shape.correction_bias = true;
  return shape;
}

}  // namespace

ModelSpec deepseek_v3(const nlohmann::json& json) {
  const Fields config(json);
  const LatentShape latent = read_latent(config);
  const std::int64_t layers = config.integer("num_hidden_layers", 1, kMostLayers);
  const std::int64_t mtp_layers = read_prediction_layers(config, 0);
  const MixtureShape experts = read_mixture(config, layers + mtp_layers);
  const RouterSpec router = read_sigmoid_router(config, experts.experts);
  const MlpShape dense{latent.hidden, config.integer("intermediate_size"), false,
                       experts.expert.activation};
  const std::int64_t dense_layers = config.integer("first_k_dense_replace", 0, kMostLayers);
  const std::int64_t moe_every = config.integer_or("moe_layer_freq", 1);
  RopeShape rotary;
  rotary.columns = latent.rope;
  rotary.interleaved = config.boolean_or("rope_interleave", true);
  const Rope rope = read_rope(config, rotary);
  const float eps = norm_epsilon(config, 1e-6);
  ModelSpec spec = decoder_frame(config, "deepseek_v3", eps);
  for (int i = 0; i < layers + mtp_layers; ++i) {
    LayerSpec layer = decoder_layer(i, latent.hidden, eps);
    layer.attention = latent_attention(layer.prefix + "self_attn.", i, latent, rope);
    const std::string mlp = layer.prefix + "mlp.";
    const bool is_mtp = i >= layers;
    if (is_mtp || (i >= dense_layers && i % moe_every == 0))
      layer.mlp = mixture(mlp, i, experts, router);
    else
      layer.mlp = gated_mlp(mlp, dense, {i, Site::kMlpIn}, {i, Site::kMlpMid});
    if (is_mtp) layer.mtp = prediction(layer, spec, eps);
    (is_mtp ? spec.mtp_layers : spec.layers).push_back(std::move(layer));
  }
  return spec;
}

}  // namespace whit::model::arch
