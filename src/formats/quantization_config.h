#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/name_matcher.h"
#include "formats/vptq_config.h"
#include "scheme/scheme.h"

namespace whit::formats {

// What Gaudi's servers call E4M3 codes up to 240; their bytes are those of E4M3FN.
inline constexpr std::string_view kGaudi2Flavor = "float8_e4m3fnuz";

// config.json's quantization_config.
struct ConfigGroup {
  std::vector<std::string> targets;
  scheme::Scheme scheme;
  std::string format;  // "pack-quantized"
  bool operator==(const ConfigGroup&) const = default;
};
struct QuantizationConfig {
  std::string quant_method = "compressed-tensors";
  std::string format = "pack-quantized";
  std::vector<ConfigGroup> groups;
  std::vector<std::string> ignore;
  std::optional<scheme::QuantArgs> kv_cache;
  // FP8 codes stay within Gaudi2's 240 ("fp8_dtype_flavor": "float8_e4m3fnuz").
  bool gaudi2_codes = false;
  // Of Intel Neural Compressor's checkpoints (quant_method "inc", which their files leave out).
  bool e5m2 = false;
  std::string scale_method;
  VectorModules vectors;  // of quant_method "vptq"
  bool operator==(const QuantizationConfig&) const = default;
};

// The keys that MoE-Quant writes, and no others (but Gaudi2's flavor where it holds); every
// optional value is spelled out. Of quant_method "fp8" the keys that DeepSeek writes, and
// modules_to_not_convert; of "vptq" its own.
nlohmann::ordered_json to_json(const QuantizationConfig& config);

// Reads what any release of compressed-tensors wrote, presets included, and Hugging Face's "fp8"
// (one group of every Linear, activations dynamic or static as activation_scheme says). Of other
// methods only quant_method is kept. Groups without quantized weights (KV cache alone) are passed
// over. Errors: kInput, subject = `subject` and the field's path; kUnsupported for presets of
// formats that whit does not read.
QuantizationConfig parse_quantization_config(const nlohmann::json& json,
                                             const std::string& subject);

// The same of a whole config.json; nullopt where it has no quantization_config.
std::optional<QuantizationConfig> quantization_config_of(const nlohmann::json& config,
                                                         const std::string& subject);

// Which group of a config a module belongs to: ignored ones to none; then by exact name, by pattern
// in alphabetical order, by class. Points into the config, which must outlive it.
class GroupFinder {
 public:
  explicit GroupFinder(const QuantizationConfig& config);
  const ConfigGroup* find(std::string_view module, std::string_view class_name = "Linear") const;
  bool ignored(std::string_view module, std::string_view class_name = "Linear") const {
    return ignore_.matches(module, class_name);
  }

 private:
  NameMatcher ignore_;
  std::map<std::string, const ConfigGroup*, std::less<>> exact_;
  std::map<std::string, std::pair<NamePattern, const ConfigGroup*>> patterns_;
};

}  // namespace whit::formats
