#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "scheme/scheme.h"

namespace whit::formats {

// What VPTQ's config says of one linear.
struct VectorModule {
  std::int64_t rows = 0, cols = 0;
  bool bias = false;
  scheme::VectorLayout layout;
  bool operator==(const VectorModule&) const = default;
};

// Linears by name, and by the last part of their names (shared_layer_config).
struct VectorModules {
  std::map<std::string, VectorModule, std::less<>> by_name;
  std::map<std::string, VectorModule, std::less<>> by_last_part;
  bool operator==(const VectorModules&) const = default;

  const VectorModule* find(const std::string& module) const;
};

// {"quant_method": "vptq", "config_for_layers": {...}}; `unconverted`: what stays as it is.
nlohmann::ordered_json vptq_config_json(const VectorModules& modules,
                                        const std::vector<std::string>& unconverted);

// Errors: kInput (subject: the field's path) for fields that are missing or contradict each other;
// kUnsupported for indices that are not packed and scales by row.
VectorModules parse_vptq_config(const nlohmann::json& json, const std::string& subject);

}  // namespace whit::formats
