#include "base/error.h"
#include "model/arch/architectures.h"
#include "model/arch/attention.h"
#include "model/arch/rope.h"

namespace whit::model::arch {

// Phi-1, Phi-1.5 and Phi-2: both halves read one norm, every linear and the head have a bias.
ModelSpec phi(const nlohmann::json& json) {
  const Fields config(json);
  AttentionShape shape = read_attention(config);
  shape.qkv_bias = shape.o_bias = true;
  const float eps = norm_epsilon(config, 1e-5, "layer_norm_eps");
  const MlpShape mlp{shape.hidden,
                     config.integer("intermediate_size"),
                     true,
                     config.activation_or("hidden_act", "gelu_new"),
                     {"", "fc1", "fc2"}};
  RopeShape rotation;
  rotation.columns = rotary_columns(config, shape.head_dim, 0.5);
  rotation.partial = true;
  const RopeSpec rope = read_rope(config, rotation).spec;
  const bool normed = config.boolean_or("qk_layernorm", false);
  if (normed && shape.head_dim * shape.heads != shape.hidden)
    base::fail(base::ErrorKind::kUnsupported, config.subject("qk_layernorm"),
               "norms of {} / {} columns on heads of {}; expected the same", shape.hidden,
               shape.heads, shape.head_dim);

  Frame frame;
  frame.hidden = shape.hidden;
  frame.max_position = rope.max_position;
  ModelSpec spec = framed(config, "phi", frame);
  spec.head.bias = true;
  spec.final_norm = layer_norm("model.final_layernorm", shape.hidden, eps);
  const std::int64_t layers = config.integer("num_hidden_layers", 1, kMostLayers);
  for (int i = 0; i < layers; ++i) {
    LayerSpec layer;
    layer.index = i;
    layer.prefix = fmt::format("model.layers.{}.", i);
    layer.parallel = true;
    layer.attention_norm = layer_norm(layer.prefix + "input_layernorm", shape.hidden, eps);
    const std::string module = layer.prefix + "self_attn.";
    GqaSpec attention = separate_attention(module, i, shape, rope);
    attention.o.module = module + "dense";
    if (normed) {
      attention.q_norm = layer_norm(module + "q_layernorm", shape.head_dim, eps);
      attention.k_norm = layer_norm(module + "k_layernorm", shape.head_dim, eps);
    }
    layer.attention = std::move(attention);
    layer.mlp = plain_mlp(layer.prefix + "mlp.", mlp, i);
    spec.layers.push_back(std::move(layer));
  }
  return spec;
}

}  // namespace whit::model::arch
