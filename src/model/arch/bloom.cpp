#include <fmt/format.h>

#include "model/arch/alibi.h"
#include "model/arch/architectures.h"
#include "model/arch/attention.h"

namespace whit::model::arch {

// ALiBi, a norm of the embedding, and q, k and v of each head side by side.
ModelSpec bloom(const nlohmann::json& json) {
  const Fields config(json);
  AttentionShape shape = equal_heads(config, config.one_of({"n_embed", "hidden_size"}),
                                     config.one_of({"n_head", "num_attention_heads"}));
  shape.qkv_bias = shape.o_bias = true;
  const float eps = norm_epsilon(config, 1e-5, "layer_norm_epsilon");
  const MlpShape mlp{shape.hidden,
                     4 * shape.hidden,
                     true,
                     compute::Activation::kGeluTanh,
                     {"", "dense_h_to_4h", "dense_4h_to_h"}};

  Frame frame;
  frame.base = "transformer.";
  frame.embedding = "word_embeddings";
  frame.hidden = shape.hidden;
  frame.max_position = config.integer_or("seq_length", 2048);
  frame.tied = true;
  ModelSpec spec = framed(config, "bloom", frame);
  spec.embedding_norm = layer_norm("transformer.word_embeddings_layernorm", shape.hidden, eps);
  spec.final_norm = layer_norm("transformer.ln_f", shape.hidden, eps);
  const std::vector<float> slopes = alibi_slopes(config, shape.heads);
  const bool norms_stream = config.boolean_or("apply_residual_connection_post_layernorm", false);
  const std::int64_t layers =
      config.integer(config.one_of({"n_layer", "num_hidden_layers"}), 1, kMostLayers);
  for (int i = 0; i < layers; ++i) {
    LayerSpec layer;
    layer.index = i;
    layer.prefix = fmt::format("transformer.h.{}.", i);
    if (norms_stream) layer.norm_place = NormPlace::kStream;
    layer.attention_norm = layer_norm(layer.prefix + "input_layernorm", shape.hidden, eps);
    GqaSpec attention = fused_attention(layer.prefix + "self_attention.query_key_value",
                                        layer.prefix + "self_attention.dense", i, shape,
                                        QkvLayout::kGroups, RopeSpec{});
    attention.alibi.slopes = slopes;
    layer.attention = std::move(attention);
    layer.mlp_norm = layer_norm(layer.prefix + "post_attention_layernorm", shape.hidden, eps);
    layer.mlp = plain_mlp(layer.prefix + "mlp.", mlp, i);
    spec.layers.push_back(std::move(layer));
  }
  return spec;
}

}  // namespace whit::model::arch
