#include <fmt/format.h>

#include "model/arch/architectures.h"
#include "model/arch/attention.h"

namespace whit::model::arch {

namespace {

constexpr float kEps = 1e-5F;               // LayerNorm's own; no field changes it
constexpr std::int64_t kFirstPosition = 2;  // the two rows before it are never read

struct Options {
  bool norm_first, affine, bias;
};

NormSpec opt_norm(const std::string& module, std::int64_t size, const Options& options) {
  NormSpec norm = layer_norm(module, size, kEps);
  if (options.affine) return norm;
  norm.weight.name.clear();
  norm.bias.reset();
  return norm;
}

// An embedding narrower than the stream is widened before it and narrowed again behind it.
void add_projections(ModelSpec& spec, std::int64_t width) {
  if (width == spec.hidden) return;
  const stats::TapId none{-1, stats::Site::kHeadIn};
  spec.embedding_proj =
      linear("model.decoder.project_in", Role::kEmbeddingProj, spec.hidden, width, none);
  spec.head_proj = linear("model.decoder.project_out", Role::kHeadProj, width, spec.hidden, none);
  spec.embedding_proj->quantizable = spec.head_proj->quantizable = false;
}

LayerSpec opt_layer(int index, const AttentionShape& shape, const MlpShape& mlp,
                    const Options& options) {
  LayerSpec layer;
  layer.index = index;
  layer.prefix = fmt::format("model.decoder.layers.{}.", index);
  if (!options.norm_first) layer.norm_place = NormPlace::kSum;
  layer.attention_norm = opt_norm(layer.prefix + "self_attn_layer_norm", shape.hidden, options);
  GqaSpec attention = separate_attention(layer.prefix + "self_attn.", index, shape, RopeSpec{});
  attention.o.module = layer.prefix + "self_attn.out_proj";
  layer.attention = std::move(attention);
  layer.mlp_norm = opt_norm(layer.prefix + "final_layer_norm", shape.hidden, options);
  layer.mlp = plain_mlp(layer.prefix, mlp, index);
  return layer;
}

}  // namespace

// Learned positions from row 2 on; norms before each half, or after it (do_layer_norm_before).
ModelSpec opt(const nlohmann::json& json) {
  const Fields config(json);
  const Options options{config.boolean_or("do_layer_norm_before", true),
                        config.boolean_or("layer_norm_elementwise_affine", true),
                        config.boolean_or("enable_bias", true)};
  AttentionShape shape = equal_heads(config, "hidden_size", "num_attention_heads");
  shape.qkv_bias = shape.o_bias = options.bias;
  const MlpShape mlp{shape.hidden,
                     config.integer("ffn_dim"),
                     options.bias,
                     config.activation_or("activation_function", "relu"),
                     {"", "fc1", "fc2"}};

  Frame frame;
  frame.embedding = "decoder.embed_tokens";
  frame.hidden = shape.hidden;
  frame.embedding_width = config.maybe_integer("word_embed_proj_dim").value_or(shape.hidden);
  frame.max_position = config.integer_or("max_position_embeddings", 2048);
  frame.tied = true;
  ModelSpec spec = framed(config, "opt", frame);
  spec.positions = learned_positions("model.decoder.embed_positions",
                                     frame.max_position + kFirstPosition, shape.hidden);
  spec.first_position = kFirstPosition;
  add_projections(spec, frame.embedding_width);
  if (options.norm_first && !config.boolean_or("_remove_final_layer_norm", false))
    spec.final_norm = opt_norm("model.decoder.final_layer_norm", shape.hidden, options);
  const std::int64_t layers = config.integer("num_hidden_layers", 1, kMostLayers);
  for (int i = 0; i < layers; ++i) spec.layers.push_back(opt_layer(i, shape, mlp, options));
  return spec;
}

}  // namespace whit::model::arch
