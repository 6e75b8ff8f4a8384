#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "model/arch/dense_decoder.h"

namespace whit::model::arch {

using base::ErrorKind;
using stats::Site;

namespace {

// Phi-3's early configs call LongRoPE "su" or "yarn".
nlohmann::json with_longrope_by_its_name(nlohmann::json config) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto scaling = config.find(key);
    if (scaling == config.end() || !scaling->is_object()) continue;
    for (const char* type : {"rope_type", "type"}) {
      const auto found = scaling->find(type);
      if (found == scaling->end()) continue;
      if (*found == "su" || *found == "yarn") *found = "longrope";
      if (*found != "longrope" && *found != "default")
        base::fail(ErrorKind::kUnsupported, fmt::format("config.json: {}.{}", key, type),
                   "found {}; expected longrope or default", found->dump().substr(0, 80));
    }
  }
  return config;
}

RopeSpec read_phi3_rope(const nlohmann::json& json, std::int64_t head_dim) {
  const nlohmann::json renamed = with_longrope_by_its_name(json);
  const Fields config(renamed);
  RopeShape shape;
  shape.columns = rotary_columns(config, head_dim, 1.0);
  shape.partial = true;
  return read_rope(config, shape).spec;
}

}  // namespace

// Phi-3, Phi-3.5, Phi-4: q, k and v are one linear, gate and up another.
ModelSpec phi3(const nlohmann::json& json) {
  const Fields config(json);
  const AttentionShape shape = read_attention(config);
  config.refuse_true("attention_bias");
  config.refuse_true("mlp_bias");
  const std::int64_t inner = config.integer("intermediate_size");
  const auto activation = config.activation_or("hidden_act", "silu");
  const float eps = norm_epsilon(config, 1e-5);
  const RopeSpec rope = read_phi3_rope(json, shape.head_dim);
  const std::int64_t window = read_window(config, 0);
  const std::int64_t layers = config.integer("num_hidden_layers", 1, kMostLayers);
  ModelSpec spec = decoder_frame(config, "phi3", eps);
  for (int i = 0; i < layers; ++i) {
    LayerSpec layer = decoder_layer(i, shape.hidden, eps);
    GqaSpec attention = separate_attention(layer.prefix + "self_attn.", i, shape, rope);
    attention.layout = QkvLayout::kBlocks;
    attention.qkv = {linear(layer.prefix + "self_attn.qkv_proj", Role::kAttnQkv,
                            shape.q_width() + 2 * shape.kv_width(), shape.hidden,
                            {i, Site::kAttnIn})};
    attention.window = window;
    layer.attention = std::move(attention);
    MlpSpec mlp;
    mlp.in = {linear(layer.prefix + "mlp.gate_up_proj", Role::kMlpGateUp, 2 * inner, shape.hidden,
                     {i, Site::kMlpIn})};
    mlp.down = linear(layer.prefix + "mlp.down_proj", Role::kMlpDown, shape.hidden, inner,
                      {i, Site::kMlpMid});
    mlp.activation = activation;
    layer.mlp = std::move(mlp);
    spec.layers.push_back(std::move(layer));
  }
  return spec;
}

}  // namespace whit::model::arch
