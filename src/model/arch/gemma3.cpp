#include "model/arch/gemma.h"

namespace whit::model::arch {

namespace {

// Two rotary embeddings. rope_parameters (v5) holds one object for each layer type; before, the
// global one is rope_theta with rope_scaling, the local one rope_local_base_freq alone.
RopeSpec read_gemma3_rope(const Fields& config, std::int64_t head_dim, bool sliding) {
  constexpr double kGlobalTheta = 1'000'000;
  constexpr double kLocalTheta = 10'000;
  RopeShape shape;
  shape.columns = head_dim;
  shape.theta = sliding ? kLocalTheta : kGlobalTheta;
  shape.theta_key = sliding ? "rope_local_base_freq" : "rope_theta";
  shape.layer_type = sliding ? "sliding_attention" : "full_attention";
  shape.scaled = !sliding;
  return read_rope(config, shape).spec;
}

}  // namespace

// The text model of Gemma 3.
ModelSpec gemma3_text(const nlohmann::json& json) {
  constexpr std::int64_t kDefaultWindow = 4096;
  constexpr std::int64_t kDefaultPattern = 6;
  const Fields config(json);
  config.refuse_present("attn_logit_softcapping");
  DenseDecoder shape = read_gemma_shape(config);
  const std::int64_t columns = shape.attention.head_dim;
  shape.rope = read_gemma3_rope(config, columns, false);
  const RopeSpec local = read_gemma3_rope(config, columns, true);
  ModelSpec spec = gemma_decoder(config, "gemma3_text", shape);
  const std::int64_t pattern = config.integer_or("sliding_window_pattern", kDefaultPattern);
  const auto layers = static_cast<std::int64_t>(spec.layers.size());
  const std::vector<bool> sliding =
      sliding_layers(config, layers, [&](std::int64_t i) { return (i + 1) % pattern != 0; });
  set_windows(config, sliding, read_window(config, kDefaultWindow), spec);
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    GqaSpec& attention = attention_of(spec.layers[i]);
    add_query_key_norms(attention, spec.layers[i].prefix + "self_attn.", columns, columns,
                        shape.eps);
    attention.q_norm->weight.offset = 1;
    attention.k_norm->weight.offset = 1;
    if (sliding[i]) attention.rope = local;
  }
  return spec;
}

}  // namespace whit::model::arch
