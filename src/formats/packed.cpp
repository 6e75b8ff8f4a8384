#include "formats/packed.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>

#include "base/error.h"
#include "formats/bit_packing.h"
#include "numeric/float_codec.h"

namespace whit::formats {

namespace {

using base::check;
using base::ErrorKind;
using base::fail;
using scheme::Strategy;
using tensor::Dtype;

scheme::QuantArgs args_of(const scheme::GroupedInt& weight, Strategy strategy) {
  scheme::QuantArgs args;
  args.num_bits = weight.bits;
  args.symmetric = weight.symmetric();
  args.strategy = strategy;
  args.group_size = strategy == Strategy::kGroup ? weight.group_size : 0;
  return args;
}

tensor::Tensor encode_codes(const tensor::Tensor& codes, int bits) {
  const std::int64_t rows = codes.shape()[0];
  const std::int64_t cols = codes.shape()[1];
  const std::int64_t words = words_of(cols, bits, WordPacking::kDense);
  tensor::Tensor packed({rows, words}, Dtype::kI32);
  for (std::int64_t n = 0; n < rows; ++n)
    pack_codes(codes.as<std::int8_t>() + n * cols, 1, cols, bits,
               packed.as<std::uint32_t>() + n * words, 1);
  return packed;
}

// Zero points are packed along the rows.
tensor::Tensor encode_zeros(const tensor::Tensor& zeros, int bits) {
  const std::int64_t rows = zeros.shape()[0];
  const std::int64_t groups = zeros.shape()[1];
  tensor::Tensor packed({words_of(rows, bits, WordPacking::kDense), groups}, Dtype::kI32);
  for (std::int64_t g = 0; g < groups; ++g)
    pack_codes(zeros.as<std::int8_t>() + g, groups, rows, bits, packed.as<std::uint32_t>() + g,
               groups);
  return packed;
}

tensor::Tensor encode_scales(const float* scales, tensor::Shape shape, Dtype dtype) {
  tensor::Tensor out(std::move(shape), dtype);
  const std::int64_t count = out.elements();
  for (std::int64_t i = 0; i < count; ++i) {
    const float scale = scales[i];
    float stored = scale;
    if (dtype == Dtype::kBF16) {
      out.as<std::uint16_t>()[i] = numeric::f32_to_bf16(scale);
      stored = numeric::bf16_to_f32(out.as<std::uint16_t>()[i]);
    } else if (dtype == Dtype::kF16) {
      out.as<std::uint16_t>()[i] = numeric::f32_to_f16(scale);
      stored = numeric::f16_to_f32(out.as<std::uint16_t>()[i]);
    } else {
      out.as<float>()[i] = scale;
    }
    if (std::bit_cast<std::uint32_t>(stored) != std::bit_cast<std::uint32_t>(scale))
      check(false, fmt::format("encode_packed: scale {} is not exact in {}", scale,
                               numeric::name_of(dtype)));
  }
  return out;
}

template <typename T>
bool all_equal(const T* values, std::int64_t count) {
  return std::all_of(values, values + count, [&](T value) { return value == values[0]; });
}

void check_weight(const scheme::GroupedInt& weight) {
  check(weight.codes.dtype() == Dtype::kI8 && weight.scales.dtype() == Dtype::kF32,
        "encode_packed: I8 codes and F32 scales");
  check(weight.group_size > 0 && weight.scales.shape()[0] == weight.rows() &&
            (weight.cols() + weight.group_size - 1) / weight.group_size == weight.groups(),
        "encode_packed: scales [rows, ceil(cols / group_size)]");
  check(weight.symmetric() || weight.zeros.shape() == weight.scales.shape(),
        "encode_packed: zeros shaped as scales");
  const auto outside = [&](const tensor::Tensor& tensor) {
    const std::span values(tensor.as<std::int8_t>(), static_cast<std::size_t>(tensor.elements()));
    std::int8_t least = 0;
    std::int8_t most = 0;
    // Without an early end, so that many are compared at once.
    for (const std::int8_t value : values) {
      least = std::min(least, value);
      most = std::max(most, value);
    }
    return least < scheme::code_min(weight.bits) || most > scheme::code_max(weight.bits);
  };
  check(!outside(weight.codes) && (weight.symmetric() || !outside(weight.zeros)),
        "encode_packed: codes within the bits");
}

}  // namespace

void check_writable(const scheme::QuantArgs& weights, std::int64_t cols,
                    const std::string& subject) {
  if (weights.type != scheme::NumberType::kInt || (weights.num_bits != 4 && weights.num_bits != 8))
    fail(ErrorKind::kUnsupported, subject,
         "{} bits of {} in pack-quantized; expected int of 4 or 8 bits", weights.num_bits,
         weights.type == scheme::NumberType::kInt ? "int" : "float");
  const bool by_group = weights.strategy == Strategy::kGroup;
  if (weights.dynamic || !(by_group || weights.strategy == Strategy::kChannel ||
                           weights.strategy == Strategy::kTensor))
    fail(ErrorKind::kUnsupported, subject,
         "strategy {}{}; expected static tensor, channel or group",
         weights.dynamic ? "dynamic " : "", scheme::name_of(weights.strategy));
  if (by_group && (weights.group_size <= 0 || cols % weights.group_size != 0))
    fail(ErrorKind::kUnsupported, subject,
         "group size {} does not divide {} columns; expected a divisor", weights.group_size, cols);
}

std::vector<checkpoint::SafetensorsWriter::Entry> packed_layout(const std::string& module,
                                                                std::int64_t rows,
                                                                std::int64_t cols,
                                                                const scheme::QuantArgs& weights,
                                                                Dtype scale_dtype) {
  const int bits = weights.num_bits;
  check(weights.type == scheme::NumberType::kInt && bits >= 1 && bits <= 8,
        "packed_layout: int of 1..8 bits");
  check(scale_dtype == Dtype::kBF16 || scale_dtype == Dtype::kF16 || scale_dtype == Dtype::kF32,
        "packed_layout: scales in BF16, F16 or F32");
  const bool whole = weights.strategy == Strategy::kTensor;
  check(whole || weights.strategy == Strategy::kChannel || weights.strategy == Strategy::kGroup,
        "packed_layout: strategy tensor, channel or group");
  const std::int64_t groups = weights.groups(cols);
  const tensor::Shape scales = whole ? tensor::Shape{1} : tensor::Shape{rows, groups};
  std::vector<checkpoint::SafetensorsWriter::Entry> entries{
      {module + ".weight_packed", Dtype::kI32, {rows, words_of(cols, bits, WordPacking::kDense)}},
      {module + ".weight_scale", scale_dtype, scales},
      {module + ".weight_shape", Dtype::kI64, {2}}};
  if (!weights.symmetric) {
    const tensor::Shape packed{words_of(rows, bits, WordPacking::kDense), groups};
    entries.push_back(
        {module + ".weight_zero_point", whole ? Dtype::kI8 : Dtype::kI32, whole ? scales : packed});
  }
  return entries;
}

std::vector<NamedTensor> encode_packed(const std::string& module, const scheme::GroupedInt& weight,
                                       std::optional<Strategy> strategy) {
  check_weight(weight);
  const scheme::QuantArgs args =
      args_of(weight, strategy.value_or(weight.channel ? Strategy::kChannel : Strategy::kGroup));
  const auto layout = packed_layout(module, weight.rows(), weight.cols(), args, weight.scale_dtype);
  const bool whole = args.strategy == Strategy::kTensor;
  const std::int64_t scale_count = weight.rows() * weight.groups();
  check(args.strategy == Strategy::kGroup || weight.groups() == 1,
        "encode_packed: one scale a row");
  check(!whole || (all_equal(weight.scales.as<float>(), scale_count) &&
                   (weight.symmetric() || all_equal(weight.zeros.as<std::int8_t>(), scale_count))),
        "encode_packed: one scale for the tensor");

  std::vector<NamedTensor> tensors;
  tensors.push_back({layout[0].name, encode_codes(weight.codes, weight.bits)});
  tensors.push_back({layout[1].name, encode_scales(weight.scales.as<float>(), layout[1].shape,
                                                   weight.scale_dtype)});
  tensor::Tensor shape({2}, Dtype::kI64);
  shape.as<std::int64_t>()[0] = weight.rows();
  shape.as<std::int64_t>()[1] = weight.cols();
  tensors.push_back({layout[2].name, std::move(shape)});
  if (!weight.symmetric()) {
    tensor::Tensor zeros(layout[3].shape, layout[3].dtype);
    if (whole) {
      *zeros.as<std::int8_t>() = *weight.zeros.as<std::int8_t>();
    } else {
      zeros = encode_zeros(weight.zeros, weight.bits);
    }
    tensors.push_back({layout[3].name, std::move(zeros)});
  }
  return tensors;
}

}  // namespace whit::formats
