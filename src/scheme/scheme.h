#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "scheme/vector_codes.h"
#include "tensor/tensor.h"

// compressed-tensors' words for how numbers are quantized.
namespace whit::scheme {

enum class NumberType : std::uint8_t { kInt, kFloat };
enum class Strategy : std::uint8_t {
  kTensor,
  kChannel,
  kGroup,
  kBlock,
  kToken,
  kTensorGroup,
  kAttnHead
};

std::string_view name_of(Strategy strategy);  // "tensor_group"
std::optional<Strategy> strategy_from_name(std::string_view name);

struct QuantArgs {
  int num_bits = 4;
  NumberType type = NumberType::kInt;
  bool symmetric = true;
  Strategy strategy = Strategy::kGroup;
  std::int64_t group_size = 0;  // > 0 only for group and tensor_group
  std::int64_t block_rows = 0;  // > 0 only for block
  std::int64_t block_cols = 0;
  bool dynamic = false;
  bool operator==(const QuantArgs&) const = default;

  // Number of scales that one row of `cols` elements has (channel, group) — 1 for the others.
  std::int64_t groups(std::int64_t cols) const;
};

struct Scheme {
  QuantArgs weights;
  std::optional<QuantArgs> input_activations;
  bool operator==(const Scheme&) const = default;
};

// Integer range of signed codes: [-2^(bits-1), 2^(bits-1)-1].
constexpr int code_min(int bits) {
  return -(1 << (bits - 1));
}
constexpr int code_max(int bits) {
  return (1 << (bits - 1)) - 1;
}

// Logical values, free of any packing. W[n,k] = (codes[n,k] - zeros[n,g]) * scales[n,g], g =
// k/group_size.
struct GroupedInt {
  int bits = 4;
  std::int64_t group_size = 0;                       // == cols for channel scales
  bool channel = false;                              // written as strategy channel
  tensor::Dtype scale_dtype = tensor::Dtype::kBF16;  // scales are exact in this type
  tensor::Tensor codes;                              // I8 [rows, cols], signed
  tensor::Tensor scales;                             // F32 [rows, groups]
  tensor::Tensor zeros;                              // I8 [rows, groups]; empty if symmetric

  std::int64_t rows() const { return codes.shape()[0]; }
  std::int64_t cols() const { return codes.shape()[1]; }
  std::int64_t groups() const { return scales.shape()[1]; }
  bool symmetric() const { return zeros.empty(); }
};

// W[n,k] = fp8[n,k] * scales[n/block_rows, k/block_cols]; ragged edge blocks allowed.
// tensor: block = whole matrix; channel: block_rows 1, block_cols = cols.
struct ScaledFloat8 {
  Strategy strategy = Strategy::kBlock;
  std::int64_t block_rows = 128;
  std::int64_t block_cols = 128;
  tensor::Tensor codes;   // F8_E4M3 or F8_E5M2 [rows, cols]
  tensor::Tensor scales;  // F32 [ceil(rows/block_rows), ceil(cols/block_cols)]

  std::int64_t rows() const { return codes.shape()[0]; }
  std::int64_t cols() const { return codes.shape()[1]; }
};

// How a hidden state, or what a KV cache keeps, goes to FP8 and back as a server reads it: code =
// fp8(clamp(x / scale, limit)), value = code * scale.
struct Float8Rounding {
  tensor::Dtype dtype = tensor::Dtype::kF8E4M3;  // or F8_E5M2
  float limit = 448;                             // largest magnitude of a code
  float scale = 0;                               // > 0: static; else of each piece of each row
  std::int64_t piece = 0;                        // columns that share a scale; 0: the whole row
  bool operator==(const Float8Rounding&) const = default;
};

// Stands in for the scale of zeros, as compressed-tensors has it: 2^-23.
inline constexpr float kZeroFloat8Scale = 0x1p-23F;

// The scale that brings `amax` to `limit`: amax / limit in fp32, kZeroFloat8Scale where that is 0.
constexpr float float8_scale(float amax, float limit) {
  const float scale = amax / limit;
  return scale == 0 ? kZeroFloat8Scale : scale;
}

using QuantizedWeight = std::variant<GroupedInt, ScaledFloat8, VectorCodes>;

std::int64_t rows_of(const QuantizedWeight& weight);
std::int64_t cols_of(const QuantizedWeight& weight);

// The scalar truth of decoding: F32 [rows, cols]; every operation is rounded once, in fp32.
tensor::Tensor decode(const QuantizedWeight& weight);

}  // namespace whit::scheme
