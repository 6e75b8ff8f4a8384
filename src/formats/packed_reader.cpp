#include "formats/packed_reader.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/error.h"
#include "formats/inc_checkpoint.h"
#include "formats/packed_state.h"
#include "formats/stored_module.h"
#include "formats/vptq.h"

namespace whit::formats {

namespace {

using tensor::Dtype;

constexpr std::array<std::string_view, 22> kSuffixes{
    "centroids.weight",      "indices",
    "input_scale",           "input_scale_inv",
    "input_zero_point",      "outlier_centroids.weight",
    "outlier_indices",       "perm",
    "quant_input.scale_inv", "res_centroids.weight",
    "res_indices",           "scale_input",
    "scale_weight",          "weight",
    "weight_bias",           "weight_g_idx",
    "weight_global_scale",   "weight_packed",
    "weight_scale",          "weight_scale_inv",
    "weight_shape",          "weight_zero_point"};

bool is_float8(Dtype dtype) {
  return dtype == Dtype::kF8E4M3 || dtype == Dtype::kF8E5M2;
}

// What the tensor `suffix` of `module` tells of how the module is stored, by section 8 of the spec.
std::optional<StoredAs> detect(const checkpoint::Checkpoint& checkpoint, const std::string& module,
                               std::string_view suffix, Dtype dtype) {
  const auto has = [&](const char* other) { return checkpoint.has(module + other); };
  if (suffix == "weight_packed") {
    if (dtype == Dtype::kI32) return StoredAs{Storage::kPackedInt, ""};
    return StoredAs{Storage::kForeign,
                    has(".weight_global_scale") ? "nvfp4-pack-quantized" : "mxfp4-pack-quantized"};
  }
  if (suffix == "indices" && has(".centroids.weight"))
    return dtype == Dtype::kI32 ? StoredAs{Storage::kVectors, ""}
                                : StoredAs{Storage::kForeign, "vptq with unpacked indices"};
  if (suffix == "qweight") return StoredAs{Storage::kForeign, has(".g_idx") ? "gptq" : "awq"};
  if (suffix != "weight") return std::nullopt;
  if (is_float8(dtype)) {
    if (has(".scale_weight")) return StoredAs{Storage::kIncFloat8, ""};
    const bool micro =
        has(".weight_scale") && checkpoint.info(module + ".weight_scale").dtype == Dtype::kU8;
    return micro ? StoredAs{Storage::kForeign, "mxfp8-quantized"} : StoredAs{Storage::kFloat8, ""};
  }
  if (dtype == Dtype::kI8 && has(".weight_scale")) return StoredAs{Storage::kPlainInt, ""};
  if (dtype == Dtype::kU8 && has(".weight_scale"))
    return StoredAs{Storage::kForeign, "ModelOpt NVFP4"};
  return std::nullopt;
}

}  // namespace

PackedReader::State::State(const checkpoint::Checkpoint& opened,
                           std::optional<QuantizationConfig> says)
    : checkpoint(opened), config(std::move(says)) {
  if (config) finder.emplace(*config);
  for (const std::string& name : checkpoint.names()) {
    const std::size_t dot = name.rfind('.');
    if (dot == std::string::npos) continue;
    const std::string module = name.substr(0, dot);
    const auto found = detect(checkpoint, module, std::string_view(name).substr(dot + 1),
                              checkpoint.info(name).dtype);
    if (found) modules.emplace(module, *found);
  }
}

PackedReader::PackedReader(const checkpoint::Checkpoint& checkpoint)
    : state_(std::make_unique<State>(
          checkpoint, quantization_config_of(checkpoint.config(),
                                             (checkpoint.folder() / "config.json").string()))) {}

PackedReader::PackedReader(const checkpoint::Checkpoint& checkpoint, QuantizationConfig config)
    : state_(std::make_unique<State>(checkpoint, std::move(config))) {}

PackedReader::~PackedReader() = default;

std::optional<scheme::QuantizedWeight> PackedReader::read(const std::string& module) const {
  const auto it = state_->modules.find(module);
  if (it == state_->modules.end()) return std::nullopt;
  const ConfigGroup* group = state_->finder ? state_->finder->find(module) : nullptr;
  const StoredModule stored{state_->checkpoint, module, group};
  switch (it->second.storage) {
    case Storage::kPackedInt:
      return read_packed_int(stored);
    case Storage::kPlainInt:
      return read_plain_int(stored);
    case Storage::kFloat8:
      return read_float8(stored);
    case Storage::kIncFloat8:
      return read_inc_float8(stored);
    case Storage::kVectors: {
      const VectorModule* vectors = state_->config ? state_->config->vectors.find(module) : nullptr;
      if (vectors == nullptr)
        base::fail(base::ErrorKind::kInput, state_->checkpoint.folder().string() + ": config.json",
                   "config_for_layers lacks {}, which has vector codes; expected an entry", module);
      return read_vptq(stored, *vectors);
    }
    case Storage::kForeign:
      break;
  }
  base::fail(base::ErrorKind::kUnsupported,
             state_->checkpoint.folder().string() + ": module " + module,
             "stored as {}; whit reads pack-quantized, int-quantized, FP8 and packed VPTQ weights",
             it->second.format);
}

bool PackedReader::is_quantized(const std::string& module) const {
  return state_->modules.count(module) != 0;
}

bool PackedReader::has_float8() const {
  return std::any_of(state_->modules.begin(), state_->modules.end(), [](const auto& module) {
    return module.second.storage == Storage::kFloat8 ||
           module.second.storage == Storage::kIncFloat8;
  });
}

std::vector<std::string> PackedReader::modules() const {
  std::vector<std::string> names;
  for (const auto& [name, found] : state_->modules) names.push_back(name);
  return names;
}

std::vector<std::string> PackedReader::tensors_of(const std::string& module) const {
  std::vector<std::string> names;
  if (!is_quantized(module)) return names;
  for (const std::string_view suffix : kSuffixes) {
    std::string name = module + "." + std::string(suffix);
    if (state_->checkpoint.has(name)) names.push_back(std::move(name));
  }
  return names;
}

std::vector<std::string> PackedReader::cache_tensors() const {
  static constexpr std::array<std::string_view, 9> kCacheSuffixes{".k_scale",
                                                                  ".v_scale",
                                                                  ".kv_scale",
                                                                  ".k_cache.quant_input.scale_inv",
                                                                  ".k_cache.dequant_output.scale",
                                                                  ".v_cache.quant_input.scale_inv",
                                                                  ".v_cache.dequant_output.scale",
                                                                  "_cache_k.quant_input.scale_inv",
                                                                  "_cache_k.dequant_output.scale"};
  std::vector<std::string> names;
  if (!state_->config || !state_->config->kv_cache) return names;
  for (const std::string& name : state_->checkpoint.names())
    if (std::any_of(kCacheSuffixes.begin(), kCacheSuffixes.end(),
                    [&](std::string_view suffix) { return name.ends_with(suffix); }))
      names.push_back(name);
  return names;
}

const std::optional<QuantizationConfig>& PackedReader::config() const {
  return state_->config;
}

}  // namespace whit::formats
