#include <fmt/format.h>

#include "model/arch/architectures.h"
#include "model/arch/attention.h"
#include "model/arch/rope.h"

namespace whit::model::arch {

namespace {

RopeSpec read_neox_rope(const Fields& config, std::int64_t head_dim) {
  RopeShape rope;
  rope.columns = rotary_columns(config, head_dim, 0.25, "rotary_pct");
  rope.partial = true;
  rope.rounds_up = true;
  rope.theta_key = "rotary_emb_base";
  return read_rope(config, rope).spec;
}

}  // namespace

// GPT-NeoX and Pythia: both halves read the layer's input through norms of their own, unless
// use_parallel_residual is false; each head's query, key and value lie together.
ModelSpec gpt_neox(const nlohmann::json& json) {
  const Fields config(json);
  AttentionShape shape = equal_heads(config, "hidden_size", "num_attention_heads");
  shape.qkv_bias = shape.o_bias = config.boolean_or("attention_bias", true);
  const float eps = norm_epsilon(config, 1e-5, "layer_norm_eps");
  const MlpShape mlp{shape.hidden,
                     config.integer("intermediate_size"),
                     true,
                     config.activation_or("hidden_act", "gelu"),
                     {"", "dense_h_to_4h", "dense_4h_to_h"}};
  const RopeSpec rope = read_neox_rope(config, shape.head_dim);

  Frame frame;
  frame.base = "gpt_neox.";
  frame.embedding = "embed_in";
  frame.hidden = shape.hidden;
  frame.max_position = rope.max_position;
  ModelSpec spec = framed(config, "gpt_neox", frame);
  name_head(spec, "embed_out", {"lm_head"});
  spec.final_norm = layer_norm("gpt_neox.final_layer_norm", shape.hidden, eps);
  spec.ignored_buffers = {".attention.bias", ".attention.masked_bias", "rotary_emb.inv_freq"};
  const bool parallel = config.boolean_or("use_parallel_residual", true);
  const std::int64_t layers = config.integer("num_hidden_layers", 1, kMostLayers);
  for (int i = 0; i < layers; ++i) {
    LayerSpec layer;
    layer.index = i;
    layer.prefix = fmt::format("gpt_neox.layers.{}.", i);
    layer.parallel = parallel;
    layer.attention_norm = layer_norm(layer.prefix + "input_layernorm", shape.hidden, eps);
    layer.attention =
        fused_attention(layer.prefix + "attention.query_key_value",
                        layer.prefix + "attention.dense", i, shape, QkvLayout::kGroups, rope);
    layer.mlp_norm = layer_norm(layer.prefix + "post_attention_layernorm", shape.hidden, eps);
    layer.mlp = plain_mlp(layer.prefix + "mlp.", mlp, i);
    spec.layers.push_back(std::move(layer));
  }
  return spec;
}

}  // namespace whit::model::arch
