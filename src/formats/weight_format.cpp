#include "formats/weight_format.h"

#include <array>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "formats/inc_checkpoint.h"
#include "formats/vptq.h"

namespace whit::formats {

namespace {

using base::check;
using scheme::ScaledFloat8;
using scheme::Strategy;
using tensor::Dtype;

constexpr std::array<std::pair<std::string_view, WeightFormat>, 5> kNames{
    {{"pack-quantized", WeightFormat::kPackQuantized},
     {"float-quantized", WeightFormat::kFloatQuantized},
     {"hf-fp8", WeightFormat::kHfFp8},
     {"inc", WeightFormat::kInc},
     {"vptq", WeightFormat::kVptq}}};

std::string scale_name(WeightFormat format, const std::string& module, Strategy strategy) {
  const bool inverse = format == WeightFormat::kHfFp8 && strategy == Strategy::kBlock;
  return module + (inverse ? ".weight_scale_inv" : ".weight_scale");
}

tensor::Shape scale_shape(Strategy strategy, std::int64_t rows, std::int64_t cols,
                          std::int64_t block_rows, std::int64_t block_cols) {
  if (strategy == Strategy::kTensor) return {1};
  if (strategy == Strategy::kChannel) return {rows, 1};
  check(strategy == Strategy::kBlock && block_rows > 0 && block_cols > 0,
        "FP8 weights: strategy tensor, channel or block");
  return {base::ceil_div(rows, block_rows), base::ceil_div(cols, block_cols)};
}

NamedTensor scale_tensor(std::string name, float scale) {
  return {std::move(name), tensor::make_f32({1}, std::span(&scale, 1))};
}

bool is_static(const scheme::Scheme& scheme) {
  return scheme.input_activations && !scheme.input_activations->dynamic;
}

}  // namespace

std::string_view name_of(WeightFormat format) {
  for (const auto& [name, value] : kNames)
    if (value == format) return name;
  return "";
}

std::optional<WeightFormat> weight_format_from_name(std::string_view name) {
  for (const auto& [known, value] : kNames)
    if (known == name) return value;
  return std::nullopt;
}

std::vector<checkpoint::SafetensorsWriter::Entry> weight_layout(
    WeightFormat format, const std::string& module, std::int64_t rows, std::int64_t cols,
    const scheme::Scheme& scheme, Dtype scale_dtype, Dtype codes) {
  const scheme::QuantArgs& weights = scheme.weights;
  if (format == WeightFormat::kPackQuantized)
    return packed_layout(module, rows, cols, weights, scale_dtype);
  check(weights.type == scheme::NumberType::kFloat && weights.num_bits == 8,
        "weight_layout: FP8 weights");
  if (format == WeightFormat::kInc) return inc_layout(module, rows, cols, weights.strategy, codes);
  std::vector<checkpoint::SafetensorsWriter::Entry> entries{
      {module + ".weight", Dtype::kF8E4M3, {rows, cols}},
      {scale_name(format, module, weights.strategy), Dtype::kF32,
       scale_shape(weights.strategy, rows, cols, weights.block_rows, weights.block_cols)}};
  if (is_static(scheme)) entries.push_back({module + ".input_scale", Dtype::kF32, {1}});
  return entries;
}

std::vector<NamedTensor> encode_weight(WeightFormat format, const std::string& module,
                                       const scheme::QuantizedWeight& weight,
                                       std::optional<float> input_scale) {
  if (format == WeightFormat::kPackQuantized) {
    const auto* ints = std::get_if<scheme::GroupedInt>(&weight);
    check(ints != nullptr, "encode_weight: integers in pack-quantized");
    return encode_packed(module, *ints);
  }
  if (format == WeightFormat::kVptq) {
    const auto* vectors = std::get_if<scheme::VectorCodes>(&weight);
    check(vectors != nullptr, "encode_weight: vector codes in vptq");
    return encode_vptq(module, *vectors);
  }
  const auto* floats = std::get_if<ScaledFloat8>(&weight);
  check(floats != nullptr, "encode_weight: FP8 in an FP8 format");
  const ScaledFloat8& w = *floats;
  if (format == WeightFormat::kInc) return encode_inc(module, w, input_scale.value());
  check(w.codes.dtype() == Dtype::kF8E4M3, "encode_weight: E4M3");
  std::vector<NamedTensor> tensors;
  tensor::Tensor codes(w.codes.shape(), w.codes.dtype());
  std::copy_n(w.codes.data(), w.codes.bytes(), codes.data());
  tensors.push_back({module + ".weight", std::move(codes)});
  const std::span scales(w.scales.as<float>(), static_cast<std::size_t>(w.scales.elements()));
  tensors.push_back(
      {scale_name(format, module, w.strategy),
       tensor::make_f32(scale_shape(w.strategy, w.rows(), w.cols(), w.block_rows, w.block_cols),
                        scales)});
  if (input_scale) tensors.push_back(scale_tensor(module + ".input_scale", *input_scale));
  return tensors;
}

std::vector<NamedTensor> encode_cache(WeightFormat format, const std::string& attention,
                                      bool latent, float key, float value) {
  if (latent) value = key;
  if (format == WeightFormat::kInc) return encode_inc_cache(attention, latent, key, value);
  std::vector<NamedTensor> tensors;
  tensors.push_back(scale_tensor(attention + ".k_scale", key));
  tensors.push_back(scale_tensor(attention + ".v_scale", value));
  return tensors;
}

std::vector<checkpoint::SafetensorsWriter::Entry> cache_layout(WeightFormat format,
                                                               const std::string& attention,
                                                               bool latent) {
  std::vector<checkpoint::SafetensorsWriter::Entry> entries;
  for (const NamedTensor& named : encode_cache(format, attention, latent, 1, 1))
    entries.push_back({named.name, named.tensor.dtype(), named.tensor.shape()});
  return entries;
}

QuantizationConfig uniform_config(WeightFormat format, const scheme::Scheme& scheme,
                                  std::vector<std::string> ignore) {
  QuantizationConfig config;
  config.format = name_of(format);
  if (format == WeightFormat::kHfFp8) {
    config.quant_method = "fp8";
    config.format = "fp8";
  } else if (format == WeightFormat::kInc) {
    config.quant_method = "inc";
  } else if (format == WeightFormat::kVptq) {
    config.quant_method = "vptq";
    config.ignore = std::move(ignore);
    return config;
  }
  config.groups.push_back({{"Linear"}, scheme, config.format});
  config.ignore = std::move(ignore);
  return config;
}

}  // namespace whit::formats
