#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/arch/architectures.h"
#include "model/arch/attention.h"
#include "model/arch/rope.h"

namespace whit::model::arch {

namespace {

// Pairs of neighbouring columns, the first rotary_dim of each head; theta is always 10000.
RopeSpec read_gptj_rope(const Fields& config, std::int64_t head_dim) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) config.refuse_present(key);
  RopeShape rope;
  rope.columns = config.integer_or("rotary_dim", 64, 2);
  rope.interleaved = true;
  if (rope.columns % 2 != 0 || rope.columns > head_dim)
    base::fail(base::ErrorKind::kInput, config.subject("rotary_dim"),
               "found {}; expected an even number up to {}, the width of a head", rope.columns,
               head_dim);
  const nlohmann::json none = nlohmann::json::object();
  return read_rope(Fields(none), rope).spec;
}

}  // namespace

// Both halves read one norm; attention has no biases, the MLP and the head have.
ModelSpec gptj(const nlohmann::json& json) {
  const Fields config(json);
  for (const char* key : {"rotary", "scale_attn_weights"}) config.refuse_false(key);
  const AttentionShape shape = equal_heads(config, config.one_of({"n_embd", "hidden_size"}),
                                           config.one_of({"n_head", "num_attention_heads"}));
  const float eps = norm_epsilon(config, 1e-5, "layer_norm_epsilon");
  const MlpShape mlp{shape.hidden,
                     config.maybe_integer("n_inner").value_or(4 * shape.hidden),
                     true,
                     config.activation_or("activation_function", "gelu_new"),
                     {"", "fc_in", "fc_out"}};
  const RopeSpec rope = read_gptj_rope(config, shape.head_dim);

  Frame frame;
  frame.base = "transformer.";
  frame.embedding = "wte";
  frame.hidden = shape.hidden;
  frame.max_position =
      config.integer_or(config.one_of({"n_positions", "max_position_embeddings"}), 2048);
  ModelSpec spec = framed(config, "gptj", frame);
  spec.head.bias = true;
  spec.final_norm = layer_norm("transformer.ln_f", shape.hidden, eps);
  spec.ignored_buffers = {".attn.bias", ".attn.masked_bias"};
  const std::int64_t layers =
      config.integer(config.one_of({"n_layer", "num_hidden_layers"}), 1, kMostLayers);
  for (int i = 0; i < layers; ++i) {
    LayerSpec layer;
    layer.index = i;
    layer.prefix = fmt::format("transformer.h.{}.", i);
    layer.parallel = true;
    layer.attention_norm = layer_norm(layer.prefix + "ln_1", shape.hidden, eps);
    GqaSpec attention = separate_attention(layer.prefix + "attn.", i, shape, rope);
    attention.o.module = layer.prefix + "attn.out_proj";
    layer.attention = std::move(attention);
    layer.mlp = plain_mlp(layer.prefix + "mlp.", mlp, i);
    spec.layers.push_back(std::move(layer));
  }
  return spec;
}

}  // namespace whit::model::arch
