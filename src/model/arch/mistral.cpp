#include "model/arch/dense_decoder.h"

namespace whit::model::arch {

// Mistral and Mistral-Nemo; every layer slides where sliding_window is not null.
ModelSpec mistral(const nlohmann::json& json) {
  constexpr std::int64_t kDefaultKvHeads = 8;
  constexpr std::int64_t kDefaultWindow = 4096;
  const Fields config(json);
  config.refuse_present("layer_types");
  DenseDecoder shape = read_dense_decoder(config, {{kDefaultKvHeads, {}}, 1e-6, 10000});
  config.refuse_true("attention_bias");
  config.refuse_true("mlp_bias");
  ModelSpec spec = dense_decoder(config, "mistral", shape);
  const std::int64_t window = read_window(config, kDefaultWindow);
  for (LayerSpec& layer : spec.layers) attention_of(layer).window = window;
  return spec;
}

}  // namespace whit::model::arch
