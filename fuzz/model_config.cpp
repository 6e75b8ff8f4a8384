#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/arch.h"

// config.json of a stranger: either an error, or a spec whose numbers are sound.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace model = whit::model;
  const auto config = nlohmann::json::parse(data, data + size, nullptr, false);
  if (config.is_discarded()) return 0;
  try {
    const model::ModelSpec spec = model::spec_from_config(config);
    for (const model::TensorSpec& tensor : model::inventory(spec)) {
      whit::tensor::byte_size(tensor.shape, whit::tensor::Dtype::kF32, tensor.name);
      for (const std::int64_t extent : tensor.shape)
        if (extent <= 0) __builtin_trap();
    }
    if (!std::isfinite(spec.logit_scale) || !std::isfinite(spec.embedding_scale)) __builtin_trap();
    for (const model::LayerSpec& layer : spec.layers) {
      const auto* mla = std::get_if<model::MlaSpec>(&layer.attention);
      const auto* gqa = std::get_if<model::GqaSpec>(&layer.attention);
      if (!std::isfinite(mla != nullptr ? mla->scale : gqa->scale)) __builtin_trap();
      const model::RopeSpec& rope = mla != nullptr ? mla->rope : gqa->rope;
      for (const auto* frequencies : {&rope.inv_freq, &rope.long_inv_freq})
        for (const double frequency : *frequencies)
          if (!std::isfinite(static_cast<float>(frequency))) __builtin_trap();
      if (!std::isfinite(layer.residual_scale)) __builtin_trap();
    }
  } catch (const whit::base::Error&) {
    return 0;
  }
  return 0;
}
