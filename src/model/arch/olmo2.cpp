#include <utility>

#include "model/arch/dense_decoder.h"

namespace whit::model::arch {

// Norms follow attention and MLP instead of preceding them; queries and keys are normed whole.
ModelSpec olmo2(const nlohmann::json& json) {
  const Fields config(json);
  const DenseDecoder shape = read_dense_decoder(config, {{}, 1e-5, 10000});
  config.refuse_true("mlp_bias");
  config.refuse_present("clip_qkv");
  ModelSpec spec = dense_decoder(config, "olmo2", shape);
  for (LayerSpec& layer : spec.layers) {
    layer.attention_norm.reset();
    layer.attention_out_norm = std::exchange(layer.mlp_norm, std::nullopt);
    layer.mlp_out_norm =
        norm(layer.prefix + "post_feedforward_layernorm", shape.attention.hidden, shape.eps);
    add_query_key_norms(attention_of(layer), layer.prefix + "self_attn.", shape.attention.q_width(),
                        shape.attention.kv_width(), shape.eps);
  }
  return spec;
}

}  // namespace whit::model::arch
