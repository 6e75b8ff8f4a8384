#include "base/error.h"
#include "model/arch/alibi.h"
#include "model/arch/architectures.h"
#include "model/arch/attention.h"
#include "model/arch/rope.h"

namespace whit::model::arch {

using base::ErrorKind;

namespace {

struct Variant {
  bool grouped, multi_query, parallel, two_norms, alibi;
};

// The first files: their own code took an absent field as false, transformers' takes it as true.
void require_stated(const Fields& config, std::string_view key) {
  if (!config.has(key))
    base::fail(ErrorKind::kInput, config.subject(key),
               "missing; expected true or false, as its default changed since these files");
}

Variant read_variant(const Fields& config) {
  const std::string type = config.text_or("model_type", "falcon");
  Variant variant{};
  // Falcon-40B as first published, which knew no field for its own kind of decoder.
  variant.grouped = config.boolean_or("new_decoder_architecture", type == "RefinedWeb");
  if (type != "falcon") {
    require_stated(config, "parallel_attn");
    if (variant.grouped && !config.present(config.one_of({"num_kv_heads", "n_head_kv"})))
      base::fail(ErrorKind::kInput, config.subject("n_head_kv"),
                 "missing; expected the number of key heads");
    if (!variant.grouped) require_stated(config, "multi_query");
  }
  variant.multi_query = config.boolean_or("multi_query", true);
  variant.parallel = config.boolean_or("parallel_attn", true);
  variant.alibi = config.boolean_or("alibi", false);
  const std::int64_t norms =
      config.maybe_integer("num_ln_in_parallel_attn").value_or(variant.grouped ? 2 : 1);
  variant.two_norms = norms == 2;
  if (variant.grouped && !variant.parallel)
    base::fail(ErrorKind::kUnsupported, config.subject("parallel_attn"),
               "found false with new_decoder_architecture; expected true");
  if (norms > 2 || (variant.two_norms && !variant.grouped))
    base::fail(ErrorKind::kUnsupported, config.subject("num_ln_in_parallel_attn"),
               "found {}; expected 1, or 2 with new_decoder_architecture", norms);
  return variant;
}

AttentionShape read_shape(const Fields& config, const Variant& variant) {
  AttentionShape shape = equal_heads(config, config.one_of({"n_embed", "hidden_size"}),
                                     config.one_of({"num_attention_heads", "n_head"}));
  shape.qkv_bias = shape.o_bias = config.boolean_or("bias", false);
  const std::string_view key = config.one_of({"num_kv_heads", "n_head_kv"});
  const std::int64_t stated = config.maybe_integer(key).value_or(shape.heads);
  if (!variant.grouped) {
    if (!variant.multi_query && stated != shape.heads)
      base::fail(ErrorKind::kUnsupported, config.subject(key),
                 "found {} with neither multi_query nor new_decoder_architecture; expected {}",
                 stated, shape.heads);
    shape.kv_heads = variant.multi_query ? 1 : shape.heads;
    return shape;
  }
  if (shape.heads % stated != 0)
    base::fail(ErrorKind::kInput, config.subject(key), "found {}; expected a divisor of {} heads",
               stated, shape.heads);
  shape.kv_heads = stated;
  return shape;
}

GqaSpec attention(const std::string& module, int layer, const AttentionShape& shape,
                  const std::vector<float>& slopes, const RopeSpec& rope) {
  GqaSpec spec = fused_attention(module + "query_key_value", module + "dense", layer, shape,
                                 QkvLayout::kGroups, rope);
  if (slopes.empty()) return spec;
  spec.alibi.slopes = slopes;
  spec.alibi.scale = spec.scale;
  spec.alibi.in_bf16 = true;
  return spec;
}

void add_norms(LayerSpec& layer, const Variant& variant, std::int64_t hidden, float eps) {
  layer.attention_norm =
      layer_norm(layer.prefix + (variant.two_norms ? "ln_attn" : "input_layernorm"), hidden, eps);
  if (variant.two_norms) layer.mlp_norm = layer_norm(layer.prefix + "ln_mlp", hidden, eps);
  if (!variant.parallel)
    layer.mlp_norm = layer_norm(layer.prefix + "post_attention_layernorm", hidden, eps);
}

}  // namespace

// Falcon-7B (one key head, one norm for both halves), Falcon-RW (ALiBi, one half after the other),
// and the new decoder architecture (groups of queries, two norms).
ModelSpec falcon(const nlohmann::json& json) {
  const Fields config(json);
  // The first files' own code added the norm's output instead of its input; transformers does not.
  config.refuse_true("apply_residual_connection_post_layernorm");
  const Variant variant = read_variant(config);
  const AttentionShape shape = read_shape(config, variant);
  const float eps = norm_epsilon(config, 1e-5, "layer_norm_epsilon");
  const MlpShape mlp{shape.hidden,
                     config.maybe_integer("ffn_hidden_size").value_or(4 * shape.hidden),
                     shape.qkv_bias,
                     config.activation_or("activation", "gelu"),
                     {"", "dense_h_to_4h", "dense_4h_to_h"}};
  RopeSpec rope;
  std::vector<float> slopes;
  if (variant.alibi) {
    slopes = alibi_slopes(config, shape.heads);
  } else {
    RopeShape rotation;
    rotation.columns = shape.head_dim;
    rope = read_rope(config, rotation).spec;
  }

  Frame frame;
  frame.base = "transformer.";
  frame.embedding = "word_embeddings";
  frame.hidden = shape.hidden;
  frame.max_position = config.integer_or("max_position_embeddings", 2048);
  frame.tied = true;
  ModelSpec spec = framed(config, "falcon", frame);
  spec.final_norm = layer_norm("transformer.ln_f", shape.hidden, eps);
  const std::int64_t layers =
      config.integer(config.one_of({"num_hidden_layers", "n_layer"}), 1, kMostLayers);
  for (int i = 0; i < layers; ++i) {
    LayerSpec layer;
    layer.index = i;
    layer.prefix = fmt::format("transformer.h.{}.", i);
    layer.parallel = variant.parallel;
    add_norms(layer, variant, shape.hidden, eps);
    layer.attention = attention(layer.prefix + "self_attention.", i, shape, slopes, rope);
    layer.mlp = plain_mlp(layer.prefix + "mlp.", mlp, i);
    spec.layers.push_back(std::move(layer));
  }
  return spec;
}

}  // namespace whit::model::arch
