#include <fmt/format.h>

#include "model/arch/architectures.h"
#include "model/arch/attention.h"
#include "model/arch/rope.h"

namespace whit::model::arch {

// Llama's layers with LayerNorm, biases and an MLP that is not gated.
ModelSpec starcoder2(const nlohmann::json& json) {
  const Fields config(json);
  config.require_text("norm_type", "layer_norm");
  config.require_text("mlp_type", "default");
  config.refuse_false("scale_attn_weights");
  AttentionDefaults absent;
  absent.kv_heads = 2;
  AttentionShape shape = read_attention(config, absent);
  shape.qkv_bias = shape.o_bias = config.boolean_or("use_bias", true);
  const float eps = norm_epsilon(config, 1e-5, "norm_epsilon");
  const MlpShape mlp{shape.hidden,
                     config.integer("intermediate_size"),
                     shape.o_bias,
                     config.activation_or("hidden_act", "gelu_pytorch_tanh"),
                     {"", "c_fc", "c_proj"}};
  RopeShape rotation;
  rotation.columns = shape.head_dim;
  const RopeSpec rope = read_rope(config, rotation).spec;
  const std::int64_t window = read_window(config, 0);

  Frame frame;
  frame.hidden = shape.hidden;
  frame.max_position = rope.max_position;
  frame.tied = true;
  ModelSpec spec = framed(config, "starcoder2", frame);
  spec.final_norm = layer_norm("model.norm", shape.hidden, eps);
  const std::int64_t layers = config.integer("num_hidden_layers", 1, kMostLayers);
  for (int i = 0; i < layers; ++i) {
    LayerSpec layer;
    layer.index = i;
    layer.prefix = fmt::format("model.layers.{}.", i);
    layer.attention_norm = layer_norm(layer.prefix + "input_layernorm", shape.hidden, eps);
    GqaSpec attention = separate_attention(layer.prefix + "self_attn.", i, shape, rope);
    attention.window = window;
    layer.attention = std::move(attention);
    layer.mlp_norm = layer_norm(layer.prefix + "post_attention_layernorm", shape.hidden, eps);
    layer.mlp = plain_mlp(layer.prefix + "mlp.", mlp, i);
    spec.layers.push_back(std::move(layer));
  }
  return spec;
}

}  // namespace whit::model::arch
