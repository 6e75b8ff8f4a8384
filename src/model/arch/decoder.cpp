#include <utility>

#include "base/error.h"
#include "model/arch/architectures.h"

namespace whit::model::arch {

LinearSpec linear(std::string module, Role role, std::int64_t out, std::int64_t in,
                  stats::TapId reads, bool bias) {
  if (out > Fields::kLargestExtent || in > Fields::kLargestExtent)
    base::fail(base::ErrorKind::kInput, "config.json",
               "{} of {} x {}; expected at most {} each way", module, out, in,
               Fields::kLargestExtent);
  LinearSpec spec;
  spec.module = std::move(module);
  spec.role = role;
  spec.out_features = out;
  spec.in_features = in;
  spec.bias = bias;
  spec.reads = reads;
  return spec;
}

float norm_epsilon(const Fields& config, double otherwise, std::string_view key) {
  const double eps = config.number_or(key, otherwise);
  if (eps < 0)
    base::fail(base::ErrorKind::kInput, config.subject(key), "found {}; expected 0 or more", eps);
  return static_cast<float>(eps);
}

NormSpec norm(std::string module, std::int64_t size, float eps) {
  return {{std::move(module) + ".weight", Role::kNorm, size}, eps, NormKind::kRms, {}};
}

NormSpec layer_norm(const std::string& module, std::int64_t size, float eps) {
  return {{module + ".weight", Role::kNorm, size},
          eps,
          NormKind::kLayer,
          VectorSpec{module + ".bias", Role::kNorm, size}};
}

MlpSpec gated_mlp(const std::string& module, const MlpShape& shape, stats::TapId in,
                  stats::TapId mid) {
  const auto one = [&](std::size_t name, Role role, std::int64_t out, std::int64_t width,
                       stats::TapId reads) {
    return linear(module + std::string(shape.names[name]), role, out, width, reads, shape.bias);
  };
  MlpSpec mlp;
  mlp.in = {one(0, Role::kMlpGate, shape.inner, shape.hidden, in),
            one(1, Role::kMlpUp, shape.inner, shape.hidden, in)};
  mlp.down = one(2, Role::kMlpDown, shape.hidden, shape.inner, mid);
  mlp.activation = shape.activation;
  return mlp;
}

MlpSpec plain_mlp(const std::string& module, const MlpShape& shape, int layer) {
  MlpSpec mlp;
  mlp.in = {linear(module + std::string(shape.names[1]), Role::kMlpUp, shape.inner, shape.hidden,
                   {layer, stats::Site::kMlpIn}, shape.bias)};
  mlp.down = linear(module + std::string(shape.names[2]), Role::kMlpDown, shape.hidden, shape.inner,
                    {layer, stats::Site::kMlpMid}, shape.bias);
  mlp.gated = false;
  mlp.activation = shape.activation;
  return mlp;
}

LayerSpec decoder_layer(int index, std::int64_t hidden, float eps) {
  LayerSpec layer;
  layer.index = index;
  layer.prefix = fmt::format("model.layers.{}.", index);
  layer.attention_norm = norm(layer.prefix + "input_layernorm", hidden, eps);
  layer.mlp_norm = norm(layer.prefix + "post_attention_layernorm", hidden, eps);
  return layer;
}

void tie_head(ModelSpec& spec) {
  spec.tied = true;
  spec.head.module = spec.embedding.module;
}

ModelSpec framed(const Fields& config, std::string architecture, const Frame& frame) {
  ModelSpec spec;
  spec.architecture = std::move(architecture);
  spec.vocabulary = config.integer("vocab_size");
  spec.hidden = frame.hidden;
  spec.max_position = frame.max_position;
  spec.base_prefix = frame.base;
  const std::int64_t width = frame.embedding_width > 0 ? frame.embedding_width : frame.hidden;
  spec.embedding = linear(frame.base + std::string(frame.embedding), Role::kEmbedding,
                          spec.vocabulary, width, {-1, stats::Site::kHeadIn});
  spec.embedding.quantizable = false;
  spec.tied = config.boolean_or("tie_word_embeddings", frame.tied);
  spec.head = spec.embedding;
  spec.head.role = Role::kHead;
  spec.head_module = "lm_head";
  if (!spec.tied) spec.head.module = spec.head_module;
  spec.ignored_buffers = {"rotary_emb.inv_freq"};
  return spec;
}

LinearSpec learned_positions(std::string module, std::int64_t rows, std::int64_t hidden) {
  LinearSpec spec =
      linear(std::move(module), Role::kPositions, rows, hidden, {-1, stats::Site::kHeadIn});
  spec.quantizable = false;
  return spec;
}

void name_head(ModelSpec& spec, std::string module, std::vector<std::string> aliases) {
  spec.head_module = std::move(module);
  spec.head_aliases = std::move(aliases);
  if (!spec.tied) spec.head.module = spec.head_module;
}

ModelSpec decoder_frame(const Fields& config, std::string architecture, float norm_eps) {
  Frame frame;
  frame.hidden = config.integer("hidden_size");
  frame.max_position = config.integer_or("max_position_embeddings", 2048);
  ModelSpec spec = framed(config, std::move(architecture), frame);
  spec.final_norm = norm("model.norm", spec.hidden, norm_eps);
  return spec;
}

}  // namespace whit::model::arch
