#include <cmath>

#include "base/error.h"
#include "model/arch/architectures.h"
#include "model/arch/rope.h"

namespace whit::model::arch {

using base::ErrorKind;
using stats::Site;

namespace {

struct Dimensions {
  std::int64_t hidden, inner, heads, kv_heads, head_dim;
  bool attention_bias, mlp_bias;
  float eps;
};

Dimensions read_dimensions(const Fields& config) {
  Dimensions d{};
  d.hidden = config.integer("hidden_size");
  d.inner = config.integer("intermediate_size");
  d.heads = config.integer("num_attention_heads");
  d.kv_heads = config.maybe_integer("num_key_value_heads").value_or(d.heads);
  if (d.heads % d.kv_heads != 0)
    base::fail(ErrorKind::kInput, config.subject("num_key_value_heads"),
               "found {}; expected a divisor of {} heads", d.kv_heads, d.heads);
  const auto head_dim = config.maybe_integer("head_dim");
  if (!head_dim && d.hidden % d.heads != 0)
    base::fail(ErrorKind::kInput, config.subject("hidden_size"),
               "found {} with no head_dim; expected a multiple of {} heads", d.hidden, d.heads);
  d.head_dim = head_dim.value_or(d.hidden / d.heads);
  d.attention_bias = config.boolean_or("attention_bias", false);
  d.mlp_bias = config.boolean_or("mlp_bias", false);
  d.eps = norm_epsilon(config);
  return d;
}

GqaSpec attention(const std::string& prefix, int layer, const Dimensions& d, const RopeSpec& rope) {
  const stats::TapId in{layer, Site::kAttnIn};
  const std::int64_t q_width = d.heads * d.head_dim;
  const std::int64_t kv_width = d.kv_heads * d.head_dim;
  GqaSpec spec;
  spec.q = linear(prefix + "q_proj", Role::kAttnQ, q_width, d.hidden, in, d.attention_bias);
  spec.k = linear(prefix + "k_proj", Role::kAttnK, kv_width, d.hidden, in, d.attention_bias);
  spec.v = linear(prefix + "v_proj", Role::kAttnV, kv_width, d.hidden, in, d.attention_bias);
  spec.o = linear(prefix + "o_proj", Role::kAttnO, d.hidden, q_width, {layer, Site::kAttnOut},
                  d.attention_bias);
  spec.heads = d.heads;
  spec.kv_heads = d.kv_heads;
  spec.head_dim = d.head_dim;
  spec.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(d.head_dim)));
  spec.rope = rope;
  return spec;
}

}  // namespace

ModelSpec llama(const nlohmann::json& json) {
  const Fields config(json);
  config.require_text("hidden_act", "silu");
  const Dimensions d = read_dimensions(config);
  const RopeSpec rope = read_rope(config, d.head_dim, false).spec;
  ModelSpec spec = decoder_frame(config, "llama", d.eps);
  const std::int64_t layers = config.integer("num_hidden_layers", 1, kMostLayers);
  for (int i = 0; i < layers; ++i) {
    LayerSpec layer;
    layer.index = i;
    layer.prefix = fmt::format("model.layers.{}.", i);
    layer.input_norm = norm(layer.prefix + "input_layernorm", d.hidden, d.eps);
    layer.attention = attention(layer.prefix + "self_attn.", i, d, rope);
    layer.post_attention_norm = norm(layer.prefix + "post_attention_layernorm", d.hidden, d.eps);
    layer.mlp = gated_mlp(layer.prefix + "mlp.", {d.hidden, d.inner, d.mlp_bias}, {i, Site::kMlpIn},
                          {i, Site::kMlpMid});
    spec.layers.push_back(std::move(layer));
  }
  return spec;
}

}  // namespace whit::model::arch
