#include "model/arch/dense_decoder.h"
#include "model/arch/qwen.h"

namespace whit::model::arch {

ModelSpec qwen3(const nlohmann::json& json) {
  constexpr std::int64_t kDefaultKvHeads = 32;
  constexpr std::int64_t kDefaultHeadDim = 128;
  const Fields config(json);
  const DenseDecoder shape =
      read_dense_decoder(config, {{kDefaultKvHeads, kDefaultHeadDim}, 1e-6, 10000});
  config.refuse_true("mlp_bias");
  ModelSpec spec = dense_decoder(config, "qwen3", shape);
  const std::int64_t columns = shape.attention.head_dim;
  for (LayerSpec& layer : spec.layers)
    add_query_key_norms(attention_of(layer), layer.prefix + "self_attn.", columns, columns,
                        shape.eps);
  set_qwen_windows(config, spec);
  return spec;
}

}  // namespace whit::model::arch
