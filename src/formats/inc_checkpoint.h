#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "formats/packed.h"
#include "formats/quantization_config.h"
#include "formats/stored_module.h"

// The checkpoint that Intel Neural Compressor saves, its format "huggingface", of one rank
// (docs/formats/inc.md): weights [in, out], scales in BF16 beside their inverses.
namespace whit::formats {

// weight, scale_weight ([] or [rows]), scale_input and quant_input.scale_inv of a linear [rows,
// cols]. codes: F8_E4M3 or F8_E5M2.
std::vector<checkpoint::SafetensorsWriter::Entry> inc_layout(const std::string& module,
                                                             std::int64_t rows, std::int64_t cols,
                                                             scheme::Strategy strategy,
                                                             tensor::Dtype codes);
// Scales must be exact in BF16. Errors: kBug.
std::vector<NamedTensor> encode_inc(const std::string& module, const scheme::ScaledFloat8& weight,
                                    float input_scale);
scheme::ScaledFloat8 read_inc_float8(const StoredModule& stored);

// quant_input.scale_inv and dequant_output.scale of an attention's caches: k_cache and v_cache, or
// the one of a latent.
std::vector<NamedTensor> encode_inc_cache(const std::string& attention, bool latent, float key,
                                          float value);

// quantization_config of such a checkpoint: FP8Config's attributes in mode LOAD. `ignore`:
// compressed-tensors' patterns, which become regular expressions that are searched for.
nlohmann::ordered_json inc_config_json(const QuantizationConfig& config);
// Whether a quantization_config is one of these.
bool is_inc_config(const nlohmann::json& value);
QuantizationConfig parse_inc_checkpoint_config(const nlohmann::json& value);

}  // namespace whit::formats
