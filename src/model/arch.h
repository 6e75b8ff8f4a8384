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

struct ArchitectureInfo {
  std::string_view model_type;
  std::string_view models;  // of what is published under it, e.g. "Llama 2, 3, 3.1"
};

// What spec_from_config knows, by model type.
std::vector<ArchitectureInfo> architectures();
// Their model types.
std::vector<std::string_view> known_architectures();

}  // namespace whit::model
