#include "model/arch/dense_decoder.h"

#include <utility>

namespace whit::model::arch {

using stats::Site;

DenseDecoder read_dense_decoder(const Fields& config, const DenseDefaults& defaults) {
  DenseDecoder shape;
  shape.attention = read_attention(config, defaults.attention);
  shape.mlp.hidden = shape.attention.hidden;
  shape.mlp.inner = config.integer("intermediate_size");
  shape.mlp.bias = config.boolean_or("mlp_bias", false);
  shape.mlp.activation = config.activation_or("hidden_act", "silu");
  shape.eps = norm_epsilon(config, defaults.eps);
  RopeShape rope;
  rope.columns = shape.attention.head_dim;
  rope.theta = defaults.rope_theta;
  shape.rope = read_rope(config, rope).spec;
  return shape;
}

ModelSpec dense_decoder(const Fields& config, std::string architecture, const DenseDecoder& shape) {
  const std::int64_t hidden = shape.attention.hidden;
  ModelSpec spec = decoder_frame(config, std::move(architecture), shape.eps);
  const std::int64_t layers = config.integer("num_hidden_layers", 1, kMostLayers);
  for (int i = 0; i < layers; ++i) {
    LayerSpec layer = decoder_layer(i, hidden, shape.eps);
    layer.attention =
        separate_attention(layer.prefix + "self_attn.", i, shape.attention, shape.rope);
    layer.mlp = gated_mlp(layer.prefix + "mlp.", shape.mlp, {i, Site::kMlpIn}, {i, Site::kMlpMid});
    spec.layers.push_back(std::move(layer));
  }
  return spec;
}

GqaSpec& attention_of(LayerSpec& layer) {
  return std::get<GqaSpec>(layer.attention);
}

}  // namespace whit::model::arch
