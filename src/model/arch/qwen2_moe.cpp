#include "model/arch/dense_decoder.h"
#include "model/arch/mixture.h"

namespace whit::model::arch {

// Qwen1.5-MoE and Qwen2-MoE: a shared expert whose output a sigmoid of its own weighs.
ModelSpec qwen2_moe(const nlohmann::json& json) {
  constexpr std::int64_t kDefaultKvHeads = 16;
  constexpr std::int64_t kDefaultWindow = 4096;
  constexpr std::int64_t kDefaultWindowLayers = 28;
  const Fields config(json);
  config.refuse_true("mlp_bias");
  DenseDecoder shape = read_dense_decoder(config, {{kDefaultKvHeads, {}}, 1e-6, 10000});
  shape.attention.qkv_bias = config.boolean_or("qkv_bias", true);
  shape.attention.o_bias = false;
  ModelSpec spec = dense_decoder(config, "qwen2_moe", shape);
  const auto layers = static_cast<std::int64_t>(spec.layers.size());

  MixtureShape experts;
  experts.experts = read_experts(config, {"num_experts", "num_local_experts"}, layers);
  experts.expert = shape.mlp;
  experts.expert.inner = config.integer("moe_intermediate_size");
  experts.shared = shape.mlp;
  experts.shared.inner = config.integer("shared_expert_intermediate_size");
  experts.shared_name = "shared_expert";
  experts.shared_gate = true;
  set_sparse_layers(config, experts, read_softmax_router(config, experts.experts), spec);

  const bool used = config.boolean_or("use_sliding_window", false);
  const std::int64_t until = config.integer_or("max_window_layers", kDefaultWindowLayers, 0);
  const auto slides = [&](std::int64_t i) { return used && i % 2 == 0 && i < until; };
  set_windows(config, sliding_layers(config, layers, slides),
              used ? read_window(config, kDefaultWindow) : 0, spec);
  return spec;
}

}  // namespace whit::model::arch
