#include <cmath>

#include "base/error.h"
#include "model/arch/dense_decoder.h"

namespace whit::model::arch {

// Llama with four multipliers: of embeddings, of scores, of what each half adds, and a divisor of
// logits.
ModelSpec granite(const nlohmann::json& json) {
  constexpr double kLeast = 1e-30;
  const Fields config(json);
  ModelSpec spec = dense_decoder(config, "granite", read_dense_decoder(config));
  spec.embedding_scale = static_cast<float>(config.number_or("embedding_multiplier", 1));
  const double divisor = config.number_or("logits_scaling", 1);
  if (!(std::abs(divisor) > kLeast))
    base::fail(base::ErrorKind::kInput, config.subject("logits_scaling"),
               "found {}; expected a number farther from 0", divisor);
  spec.logit_scale = static_cast<float>(1 / divisor);
  for (LayerSpec& layer : spec.layers) {
    layer.residual_scale = static_cast<float>(config.number_or("residual_multiplier", 1));
    attention_of(layer).scale = static_cast<float>(config.number_or("attention_multiplier", 1));
  }
  return spec;
}

}  // namespace whit::model::arch
