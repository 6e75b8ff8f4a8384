#include <cmath>
#include <utility>

#include "base/error.h"
#include "model/arch/gemma.h"

namespace whit::model::arch {

namespace {

constexpr double kDefaultScalar = 256;
constexpr double kLeastScalar = 1e-30;

void store_offset(std::optional<NormSpec>& norm_of) {
  if (norm_of) norm_of->weight.offset = 1;
}

}  // namespace

DenseDecoder read_gemma_shape(const Fields& config) {
  constexpr std::int64_t kDefaultKvHeads = 4;
  constexpr std::int64_t kDefaultHeadDim = 256;
  config.refuse_true("use_bidirectional_attention");
  config.refuse_true("mlp_bias");
  DenseDecoder shape;
  shape.attention = read_attention(config, {kDefaultKvHeads, kDefaultHeadDim});
  shape.mlp.hidden = shape.attention.hidden;
  shape.mlp.inner = config.integer("intermediate_size");
  shape.mlp.activation = config.present("hidden_activation")
                             ? config.activation_or("hidden_activation", "")
                             : compute::Activation::kGeluTanh;
  shape.eps = norm_epsilon(config, 1e-6);
  return shape;
}

ModelSpec gemma_decoder(const Fields& config, std::string architecture, const DenseDecoder& shape) {
  const std::int64_t hidden = shape.attention.hidden;
  ModelSpec spec = dense_decoder(config, std::move(architecture), shape);
  if (!config.has("tie_word_embeddings")) tie_head(spec);
  spec.embedding_scale = std::sqrt(static_cast<float>(hidden));
  spec.final_norm->weight.offset = 1;
  const double scalar = config.number_or("query_pre_attn_scalar", kDefaultScalar);
  if (!(scalar > kLeastScalar))
    base::fail(base::ErrorKind::kInput, config.subject("query_pre_attn_scalar"),
               "found {}; expected a positive number", scalar);
  for (LayerSpec& layer : spec.layers) {
    attention_of(layer).scale = static_cast<float>(1 / std::sqrt(scalar));
    layer.attention_out_norm = std::exchange(
        layer.mlp_norm, norm(layer.prefix + "pre_feedforward_layernorm", hidden, shape.eps));
    layer.mlp_out_norm = norm(layer.prefix + "post_feedforward_layernorm", hidden, shape.eps);
    for (auto* one :
         {&layer.attention_norm, &layer.attention_out_norm, &layer.mlp_norm, &layer.mlp_out_norm})
      store_offset(*one);
  }
  spec.logit_softcap = config.softcap_or("final_logit_softcapping", 0);
  return spec;
}

ModelSpec gemma2(const nlohmann::json& json) {
  constexpr std::int64_t kDefaultWindow = 4096;
  constexpr float kDefaultScoreCap = 50;
  constexpr float kDefaultLogitCap = 30;
  const Fields config(json);
  DenseDecoder shape = read_gemma_shape(config);
  RopeShape rope;
  rope.columns = shape.attention.head_dim;
  shape.rope = read_rope(config, rope).spec;
  ModelSpec spec = gemma_decoder(config, "gemma2", shape);
  spec.logit_softcap = config.softcap_or("final_logit_softcapping", kDefaultLogitCap);
  for (LayerSpec& layer : spec.layers)
    attention_of(layer).softcap = config.softcap_or("attn_logit_softcapping", kDefaultScoreCap);
  const auto layers = static_cast<std::int64_t>(spec.layers.size());
  set_windows(config, sliding_layers(config, layers, [](std::int64_t i) { return i % 2 == 0; }),
              read_window(config, kDefaultWindow), spec);
  return spec;
}

}  // namespace whit::model::arch
