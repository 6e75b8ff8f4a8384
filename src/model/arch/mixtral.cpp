#include "model/arch/dense_decoder.h"
#include "model/arch/mixture.h"

namespace whit::model::arch {

// Mistral's attention; every layer a mixture whose chosen experts' weights sum to one.
ModelSpec mixtral(const nlohmann::json& json) {
  constexpr std::int64_t kDefaultKvHeads = 8;
  const Fields config(json);
  config.refuse_true("attention_bias");
  config.refuse_true("mlp_bias");
  const DenseDecoder shape = read_dense_decoder(config, {{kDefaultKvHeads, {}}, 1e-5, 1'000'000});
  ModelSpec spec = dense_decoder(config, "mixtral", shape);
  MixtureShape experts;
  experts.experts = read_experts(config, {"num_local_experts", "num_experts"},
                                 static_cast<std::int64_t>(spec.layers.size()));
  experts.expert = shape.mlp;
  experts.expert.names = {"w1", "w3", "w2"};
  RouterSpec router = read_softmax_router(config, experts.experts);
  router.renormalize = true;
  const std::int64_t window = read_window(config, 0);
  for (LayerSpec& layer : spec.layers) {
    attention_of(layer).window = window;
    layer.mlp = mixture(layer.prefix + "block_sparse_moe.", layer.index, experts, router);
  }
  return spec;
}

}  // namespace whit::model::arch
