#include "model/arch/dense_decoder.h"
#include "model/arch/mixture.h"

namespace whit::model::arch {

// Every layer slides where use_sliding_window says so.
ModelSpec qwen3_moe(const nlohmann::json& json) {
  constexpr std::int64_t kDefaultKvHeads = 4;
  constexpr std::int64_t kDefaultWindow = 4096;
  const Fields config(json);
  config.refuse_true("mlp_bias");
  const DenseDecoder shape = read_dense_decoder(config, {{kDefaultKvHeads, {}}, 1e-6, 10000});
  ModelSpec spec = dense_decoder(config, "qwen3_moe", shape);
  MixtureShape experts;
  experts.experts = read_experts(config, {"num_experts", "num_local_experts"},
                                 static_cast<std::int64_t>(spec.layers.size()));
  experts.expert = shape.mlp;
  experts.expert.inner = config.integer("moe_intermediate_size");
  set_sparse_layers(config, experts, read_softmax_router(config, experts.experts), spec);
  const bool used = config.boolean_or("use_sliding_window", false);
  const std::int64_t window = used ? read_window(config, kDefaultWindow) : 0;
  const std::int64_t columns = shape.attention.head_dim;
  for (LayerSpec& layer : spec.layers) {
    add_query_key_norms(attention_of(layer), layer.prefix + "self_attn.", columns, columns,
                        shape.eps);
    attention_of(layer).window = window;
  }
  return spec;
}

}  // namespace whit::model::arch
