#include "model/arch/dense_decoder.h"
#include "model/arch/qwen.h"

namespace whit::model::arch {

void set_qwen_windows(const Fields& config, ModelSpec& spec) {
  constexpr std::int64_t kDefaultWindow = 4096;
  constexpr std::int64_t kDefaultFullLayers = 28;
  const bool used = config.boolean_or("use_sliding_window", false);
  const std::int64_t window = used ? read_window(config, kDefaultWindow) : 0;
  const std::int64_t full = config.integer_or("max_window_layers", kDefaultFullLayers, 0);
  const auto layers = static_cast<std::int64_t>(spec.layers.size());
  set_windows(
      config,
      sliding_layers(config, layers, [&](std::int64_t i) { return window > 0 && i >= full; }),
      window, spec);
}

// Qwen2 and Qwen2.5: biases on q, k and v alone, whatever a config says of biases.
ModelSpec qwen2(const nlohmann::json& json) {
  constexpr std::int64_t kDefaultKvHeads = 32;
  const Fields config(json);
  DenseDecoder shape = read_dense_decoder(config, {{kDefaultKvHeads, {}}, 1e-6, 10000});
  config.refuse_true("mlp_bias");
  shape.attention.qkv_bias = true;
  shape.attention.o_bias = false;
  ModelSpec spec = dense_decoder(config, "qwen2", shape);
  set_qwen_windows(config, spec);
  return spec;
}

}  // namespace whit::model::arch
