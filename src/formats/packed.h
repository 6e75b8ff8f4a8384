#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/writer.h"
#include "scheme/scheme.h"

// compressed-tensors' pack-quantized (docs/formats/compressed_tensors.md).
namespace whit::formats {

// Key of a shard's metadata: names, joined by commas, of unquantized tensors in it that are no
// copies of the source's.
inline constexpr std::string_view kRefittedKey = "whit.refitted";

struct NamedTensor {
  std::string name;
  tensor::Tensor tensor;
};

// What serving engines load of this format: signed integers of 4 or 8 bits, static, tensor, channel
// or group scales with whole groups of `cols`. Errors: kUnsupported, subject = `subject`.
void check_writable(const scheme::QuantArgs& weights, std::int64_t cols,
                    const std::string& subject);

// The tensors that `module` [rows, cols] will have on disk under `weights`, before any data exists:
// weight_packed I32, weight_scale, weight_shape I64 and, if asymmetric, weight_zero_point.
// weights: integers of 1..8 bits by tensor, channel or group. Errors: kBug for other schemes.
std::vector<checkpoint::SafetensorsWriter::Entry> packed_layout(const std::string& module,
                                                                std::int64_t rows,
                                                                std::int64_t cols,
                                                                const scheme::QuantArgs& weights,
                                                                tensor::Dtype scale_dtype);

// The same tensors with their data, in the same order. `strategy`: kChannel or kGroup as the weight
// says unless given; kTensor needs equal scales and zero points everywhere. Scales must be exact in
// weight.scale_dtype. Errors: kBug.
std::vector<NamedTensor> encode_packed(const std::string& module, const scheme::GroupedInt& weight,
                                       std::optional<scheme::Strategy> strategy = std::nullopt);

}  // namespace whit::formats
