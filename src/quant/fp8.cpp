#include "quant/fp8.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "numeric/float_codec.h"

namespace whit::quant {

namespace {

using scheme::ScaledFloat8;
using scheme::ScaleRounding;
using scheme::ScaleValue;
using scheme::Strategy;
using tensor::Dtype;

bool is_plain(const scheme::TensorScaling& scaling) {
  return scaling.value == ScaleValue::kMaxabs && scaling.rounding == ScaleRounding::kIdentity &&
         scaling.backoff == 1;
}

float stored_scale(float scale, Dtype dtype) {
  return dtype == Dtype::kBF16 ? numeric::round_to_bf16(scale) : scale;
}

Fp8ScaleArgs scale_args(const Fp8WeightArgs& args) {
  return {args.scaling, args.target, ScaleArithmetic::kExact, Dtype::kF32};
}

// One scale for each maximum.
std::vector<float> scales_of(const std::vector<float>& maxima, const Fp8WeightArgs& args) {
  std::vector<float> scales;
  for (const float amax : maxima) {
    float scale = is_plain(args.scaling)
                      ? scheme::float8_scale(amax, code_limit(args.target))
                      : static_cast<float>(tensor_scale(double{amax}, scale_args(args)));
    if (scale == 0) scale = scheme::kZeroFloat8Scale;
    scales.push_back(scale);
  }
  return scales;
}

// Scales of least error, over the whole matrix or row by row.
std::vector<float> searched(const tensor::Tensor& host, const std::vector<float>& maxima,
                            const Fp8WeightArgs& args) {
  const std::int64_t rows = host.shape()[0];
  const auto cols = static_cast<std::size_t>(host.shape()[1]);
  const bool per_row = args.strategy == Strategy::kChannel;
  const auto row_of = [&](std::int64_t n) {
    return std::span(host.as<float>() + n * static_cast<std::int64_t>(cols), cols);
  };
  ScaleErrors errors(args.target, per_row);
  if (!per_row) {
    const auto candidates = tensor_candidates(args.scaling, args.target);
    for (std::int64_t n = 0; n < rows; ++n) errors.add_row(row_of(n), candidates);
    return {static_cast<float>(least_error_scale(candidates, errors.sums(), scale_args(args)))};
  }
  Fp8ScaleArgs reference = scale_args(args);
  reference.scaling.value = ScaleValue::kMaxabs;
  const std::vector<double> amax(maxima.begin(), maxima.end());
  const auto references = channel_scales(amax, Dtype::kF32, reference);
  const auto multipliers = channel_multipliers(args.scaling);
  std::vector<double> candidates(multipliers.size());
  for (std::int64_t n = 0; n < rows; ++n) {
    for (std::size_t i = 0; i < multipliers.size(); ++i)
      candidates[i] = multipliers[i] * references[static_cast<std::size_t>(n)];
    errors.add_row(row_of(n), candidates);
  }
  std::vector<float> scales;
  for (const double scale : least_error_channel_scales(references, multipliers, errors.sums(),
                                                       Dtype::kF32, scale_args(args)))
    scales.push_back(static_cast<float>(scale));
  return scales;
}

}  // namespace

Dtype code_dtype(const scheme::Fp8Target& target) {
  return target.format == scheme::Fp8Format::kE4M3 ? Dtype::kF8E4M3 : Dtype::kF8E5M2;
}

float code_limit(const scheme::Fp8Target& target) {
  return static_cast<float>(scheme::full_scale(target));
}

ScaledFloat8 fp8(compute::Backend& backend, tensor::ConstMatrixView w, const Fp8WeightArgs& args,
                 std::optional<float> amax) {
  ScaledFloat8 result;
  result.strategy = args.strategy;
  result.block_rows = args.strategy == Strategy::kTensor    ? w.rows
                      : args.strategy == Strategy::kChannel ? 1
                                                            : args.block_rows;
  result.block_cols = args.strategy == Strategy::kBlock ? args.block_cols : w.cols;
  std::vector<float> maxima = backend.codec().block_maxima(w, result.block_rows, result.block_cols);
  if (std::any_of(maxima.begin(), maxima.end(), [](float m) { return !std::isfinite(m); }))
    base::fail(base::ErrorKind::kInput, "weight", "not finite; expected numbers");
  if (amax) {
    base::check(args.strategy == Strategy::kTensor && maxima[0] <= *amax,
                "fp8: a shared maximum of whole tensors");
    maxima[0] = *amax;
  }
  std::vector<float> scales;
  if (args.scaling.value == ScaleValue::kLeastError) {
    tensor::Tensor copy = backend.memory().allocate({w.rows, w.cols}, Dtype::kF32);
    backend.memory().copy(w, copy.matrix());
    scales = searched(backend.memory().download(copy.view()), maxima, args);
  } else {
    scales = scales_of(maxima, args);
  }
  for (float& scale : scales) scale = stored_scale(scale, args.scale_dtype);
  const std::int64_t grid_cols = (w.cols + result.block_cols - 1) / result.block_cols;
  result.scales =
      tensor::make_f32({static_cast<std::int64_t>(scales.size()) / grid_cols, grid_cols}, scales);
  tensor::Tensor codes = backend.memory().allocate({w.rows, w.cols}, code_dtype(args.target));
  backend.codec().encode_scaled_fp8(w, backend.memory().upload(result.scales.view()).view(),
                                    result.block_rows, result.block_cols, code_limit(args.target),
                                    codes.matrix());
  result.codes = backend.memory().download(codes.view());
  return result;
}

float fp8_activation_scale(float amax, const scheme::TensorScaling& scaling,
                           const scheme::Fp8Target& target, Dtype scale_dtype) {
  if (is_plain(scaling))
    return stored_scale(scheme::float8_scale(amax, code_limit(target)), scale_dtype);
  const double scale =
      tensor_scale(double{amax}, {scaling, target, ScaleArithmetic::kExact, Dtype::kF32});
  return stored_scale(scale == 0 ? scheme::kZeroFloat8Scale : static_cast<float>(scale),
                      scale_dtype);
}

ScaledFloat8 halved_for_gaudi2(const ScaledFloat8& weight) {
  base::check(weight.codes.dtype() == Dtype::kF8E4M3, "halved_for_gaudi2: E4M3");
  ScaledFloat8 result;
  result.strategy = weight.strategy;
  result.block_rows = weight.block_rows;
  result.block_cols = weight.block_cols;
  result.codes = tensor::Tensor(weight.codes.shape(), Dtype::kF8E4M3);
  result.scales = tensor::Tensor(weight.scales.shape(), Dtype::kF32);
  const auto* from = weight.codes.as<std::uint8_t>();
  for (std::int64_t i = 0; i < weight.codes.elements(); ++i)
    result.codes.as<std::uint8_t>()[i] = numeric::f32_to_e4m3(0.5F * numeric::e4m3_to_f32(from[i]));
  for (std::int64_t i = 0; i < weight.scales.elements(); ++i)
    result.scales.as<float>()[i] = 2 * weight.scales.as<float>()[i];
  return result;
}

}  // namespace whit::quant
