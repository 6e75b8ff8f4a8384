#include <fmt/format.h>

#include "model/arch/architectures.h"
#include "model/arch/attention.h"

namespace whit::model::arch {

namespace {

// The files hold the four matrices of a layer as [in, out].
void transpose_linears(LayerSpec& layer) {
  auto& attention = std::get<GqaSpec>(layer.attention);
  auto& mlp = std::get<MlpSpec>(layer.mlp);
  for (LinearSpec* linear : {&attention.qkv.front(), &attention.o, &mlp.in.front(), &mlp.down})
    linear->transposed = true;
}

}  // namespace

// Learned positions, LayerNorm before each half, one linear for q, k and v.
ModelSpec gpt2(const nlohmann::json& json) {
  const Fields config(json);
  config.refuse_true("add_cross_attention");
  AttentionShape shape = equal_heads(config, config.one_of({"n_embd", "hidden_size"}),
                                     config.one_of({"n_head", "num_attention_heads"}));
  shape.qkv_bias = shape.o_bias = true;
  const float eps = norm_epsilon(config, 1e-5, "layer_norm_epsilon");
  MlpShape mlp{shape.hidden,
               config.maybe_integer("n_inner").value_or(4 * shape.hidden),
               true,
               config.activation_or("activation_function", "gelu_new"),
               {"", "c_fc", "c_proj"}};
  const bool scaled = config.boolean_or("scale_attn_weights", true);
  const bool scaled_by_layer = config.boolean_or("scale_attn_by_inverse_layer_idx", false);

  Frame frame;
  frame.base = "transformer.";
  frame.embedding = "wte";
  frame.hidden = shape.hidden;
  frame.max_position =
      config.integer_or(config.one_of({"n_positions", "max_position_embeddings"}), 1024);
  frame.tied = true;
  ModelSpec spec = framed(config, "gpt2", frame);
  spec.positions = learned_positions("transformer.wpe", frame.max_position, shape.hidden);
  spec.final_norm = layer_norm("transformer.ln_f", shape.hidden, eps);
  spec.ignored_buffers = {".attn.bias", ".attn.masked_bias"};
  const std::int64_t layers =
      config.integer(config.one_of({"n_layer", "num_hidden_layers"}), 1, kMostLayers);
  for (int i = 0; i < layers; ++i) {
    LayerSpec layer;
    layer.index = i;
    layer.prefix = fmt::format("transformer.h.{}.", i);
    layer.attention_norm = layer_norm(layer.prefix + "ln_1", shape.hidden, eps);
    GqaSpec attention = fused_attention(layer.prefix + "attn.c_attn", layer.prefix + "attn.c_proj",
                                        i, shape, QkvLayout::kBlocks, RopeSpec{});
    if (!scaled) attention.scale = 1;
    if (scaled_by_layer) attention.scale /= static_cast<float>(i + 1);
    layer.attention = std::move(attention);
    layer.mlp_norm = layer_norm(layer.prefix + "ln_2", shape.hidden, eps);
    layer.mlp = plain_mlp(layer.prefix + "mlp.", mlp, i);
    transpose_linears(layer);
    spec.layers.push_back(std::move(layer));
  }
  return spec;
}

}  // namespace whit::model::arch
