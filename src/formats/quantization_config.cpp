#include "formats/quantization_config.h"

#include "formats/inc_checkpoint.h"

namespace whit::formats {

namespace {

using scheme::QuantArgs;
using scheme::Strategy;

// "minmax" is what every release of compressed-tensors understands of a static scheme.
nlohmann::ordered_json args_to_json(const QuantArgs& args) {
  nlohmann::ordered_json json;
  json["num_bits"] = args.num_bits;
  json["type"] = args.type == scheme::NumberType::kInt ? "int" : "float";
  json["symmetric"] = args.symmetric;
  json["strategy"] = scheme::name_of(args.strategy);
  json["group_size"] = args.group_size > 0 ? nlohmann::ordered_json(args.group_size) : nullptr;
  json["dynamic"] = args.dynamic;
  json["actorder"] = nullptr;
  json["block_structure"] = nullptr;
  if (args.strategy == Strategy::kBlock)
    json["block_structure"] = {args.block_rows, args.block_cols};
  json["observer"] = args.dynamic ? nlohmann::ordered_json(nullptr) : "minmax";
  json["observer_kwargs"] = nlohmann::ordered_json::object();
  return json;
}

nlohmann::ordered_json fp8_to_json(const QuantizationConfig& config) {
  nlohmann::ordered_json json{{"quant_method", "fp8"}, {"fmt", "e4m3"}};
  const scheme::Scheme& scheme = config.groups.at(0).scheme;
  const bool fixed = scheme.input_activations && !scheme.input_activations->dynamic;
  json["activation_scheme"] = fixed ? "static" : "dynamic";
  if (scheme.weights.strategy == Strategy::kBlock)
    json["weight_block_size"] = {scheme.weights.block_rows, scheme.weights.block_cols};
  if (!config.ignore.empty()) json["modules_to_not_convert"] = config.ignore;
  return json;
}

}  // namespace

nlohmann::ordered_json to_json(const QuantizationConfig& config) {
  if (config.quant_method == "fp8") return fp8_to_json(config);
  if (config.quant_method == "inc") return inc_config_json(config);
  if (config.quant_method == "vptq") return vptq_config_json(config.vectors, config.ignore);
  nlohmann::ordered_json groups = nlohmann::ordered_json::object();
  for (std::size_t i = 0; i < config.groups.size(); ++i) {
    const ConfigGroup& group = config.groups[i];
    nlohmann::ordered_json& json = groups["group_" + std::to_string(i)];
    json["targets"] = group.targets;
    json["weights"] = args_to_json(group.scheme.weights);
    json["input_activations"] = nullptr;
    if (group.scheme.input_activations)
      json["input_activations"] = args_to_json(*group.scheme.input_activations);
    json["output_activations"] = nullptr;
    if (!group.format.empty() && group.format != config.format) json["format"] = group.format;
  }
  nlohmann::ordered_json json;
  json["config_groups"] = std::move(groups);
  json["format"] = config.format;
  json["ignore"] = config.ignore;
  json["kv_cache_scheme"] = nullptr;
  if (config.kv_cache) json["kv_cache_scheme"] = args_to_json(*config.kv_cache);
  json["quant_method"] = config.quant_method;
  json["quantization_status"] = "compressed";
  if (config.gaudi2_codes) json["fp8_dtype_flavor"] = kGaudi2Flavor;
  return json;
}

GroupFinder::GroupFinder(const QuantizationConfig& config)
    : ignore_(config.ignore, base::ErrorKind::kInput) {
  for (const ConfigGroup& group : config.groups)
    for (const std::string& target : group.targets) {
      if (target.rfind("re:", 0) == 0) {
        const std::string pattern = target.substr(3);
        patterns_.try_emplace(pattern, NamePattern(pattern, base::ErrorKind::kInput), &group);
      } else {
        exact_.try_emplace(target, &group);
      }
    }
}

const ConfigGroup* GroupFinder::find(std::string_view module, std::string_view class_name) const {
  if (ignored(module, class_name)) return nullptr;
  if (const auto it = exact_.find(module); it != exact_.end()) return it->second;
  for (const auto& [name, entry] : patterns_)
    if (entry.first.matches(module)) return entry.second;
  const auto it = exact_.find(class_name);
  return it == exact_.end() ? nullptr : it->second;
}

}  // namespace whit::formats
