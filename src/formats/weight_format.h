#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/packed.h"
#include "formats/quantization_config.h"
#include "scheme/scheme.h"

namespace whit::formats {

// The formats that whit writes.
enum class WeightFormat : std::uint8_t {
  kPackQuantized,   // compressed-tensors, integers
  kFloatQuantized,  // compressed-tensors, FP8 (docs/formats/float_quantized.md)
  kHfFp8,           // quant_method "fp8", DeepSeek's (docs/formats/hf_fp8.md)
  kInc,             // Intel Neural Compressor's (docs/formats/inc.md)
  kVptq,            // VPTQ's, packed (docs/formats/vptq.md)
};

std::string_view name_of(WeightFormat format);  // "float-quantized"
std::optional<WeightFormat> weight_format_from_name(std::string_view name);

// The tensors that `module` [rows, cols] will have on disk under `scheme`, before any data exists.
// FP8: weight, then weight_scale F32 ([1], [rows, 1] or the grid of blocks; weight_scale_inv of
// kHfFp8's blocks) and, where activations are static, input_scale F32 [1]. Errors: kBug for what
// the format does not hold, and of kVptq, whose layout is each module's own (vptq_layout).
std::vector<checkpoint::SafetensorsWriter::Entry> weight_layout(
    WeightFormat format, const std::string& module, std::int64_t rows, std::int64_t cols,
    const scheme::Scheme& scheme, tensor::Dtype scale_dtype,
    tensor::Dtype codes = tensor::Dtype::kF8E4M3);

// The same tensors with their data, in the same order. input_scale: where activations are static.
std::vector<NamedTensor> encode_weight(WeightFormat format, const std::string& module,
                                       const scheme::QuantizedWeight& weight,
                                       std::optional<float> input_scale = std::nullopt);

// Scales of the KV cache of `attention` ("model.layers.3.self_attn"), whose rows are keys and
// values, or one latent (`key` alone counts for it, and is written for both).
std::vector<checkpoint::SafetensorsWriter::Entry> cache_layout(WeightFormat format,
                                                               const std::string& attention,
                                                               bool latent);
std::vector<NamedTensor> encode_cache(WeightFormat format, const std::string& attention,
                                      bool latent, float key, float value);

// What config.json says of a checkpoint all of whose linears but `ignore` have one scheme.
QuantizationConfig uniform_config(WeightFormat format, const scheme::Scheme& scheme,
                                  std::vector<std::string> ignore);

}  // namespace whit::formats
