#pragma once

#include <cstdint>

#include "model/arch/fields.h"
#include "model/spec.h"

namespace whit::model::arch {

// num_nextn_predict_layers or num_mtp_layers; `otherwise` where the config has neither.
std::int64_t read_prediction_layers(const Fields& config, std::int64_t otherwise);

// The entry and the exit of a multi-token-prediction layer, under DeepSeek's names.
MtpSpec prediction(const LayerSpec& layer, const ModelSpec& spec, float eps);

}  // namespace whit::model::arch
