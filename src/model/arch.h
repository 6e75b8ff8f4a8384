#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "model/spec.h"

namespace whit::model {

// config.json -> ModelSpec, by `model_type`. Reads v4 and v5 keys. Errors: kInput for a missing or
// wrong field (subject "config.json: FIELD"), kUnsupported for what whit does not do, named by
// field.
ModelSpec spec_from_config(const nlohmann::json& config);

// The model types that spec_from_config knows.
std::vector<std::string_view> known_architectures();

}  // namespace whit::model
