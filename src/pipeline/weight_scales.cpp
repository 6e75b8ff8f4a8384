#include "pipeline/weight_scales.h"

#include <algorithm>
#include <cmath>

#include "numeric/float_codec.h"

namespace whit::pipeline {

namespace {

using quant::Fp8ScaleArgs;
using quant::ScaleArithmetic;
using scheme::ScaleGranularity;
using scheme::ScaleValue;
using tensor::Dtype;

// Rows as the engine would hold them.
void visit_served_rows(const checkpoint::Checkpoint& checkpoint, const ModuleWeight& weight,
                       ScaleArithmetic arithmetic,
                       const std::function<void(std::span<const float>)>& visit) {
  if (arithmetic == ScaleArithmetic::kExact || weight.dtype == Dtype::kF32)
    return visit_rows(checkpoint, weight, visit);
  std::vector<float> served;
  visit_rows(checkpoint, weight, [&](std::span<const float> row) {
    served.assign(row.begin(), row.end());
    for (float& value : served) value = numeric::round_to_bf16(value);
    visit(served);
  });
}

std::vector<double> row_maxima(const checkpoint::Checkpoint& checkpoint, const ModuleWeight& weight,
                               ScaleArithmetic arithmetic) {
  std::vector<double> maxima;
  visit_served_rows(checkpoint, weight, arithmetic, [&](std::span<const float> row) {
    float most = 0;
    for (const float value : row) most = std::max(most, std::abs(value));
    maxima.push_back(double{most});
  });
  return maxima;
}

std::vector<double> searched_channels(const checkpoint::Checkpoint& checkpoint,
                                      const ModuleWeight& weight, const Fp8ScaleArgs& args,
                                      const std::vector<double>& maxima) {
  Fp8ScaleArgs reference_args = args;
  reference_args.scaling.value = ScaleValue::kMaxabs;
  const auto references = quant::channel_scales(maxima, weight.dtype, reference_args);
  const auto multipliers = quant::channel_multipliers(args.scaling);
  quant::ScaleErrors errors(args.target, true);
  std::size_t channel = 0;
  std::vector<double> scales(multipliers.size());
  visit_served_rows(checkpoint, weight, args.arithmetic, [&](std::span<const float> row) {
    for (std::size_t i = 0; i < scales.size(); ++i)
      scales[i] = multipliers[i] * references[channel];
    errors.add_row(row, scales);
    ++channel;
  });
  return quant::least_error_channel_scales(references, multipliers, errors.sums(), weight.dtype,
                                           args);
}

double searched_tensor(const checkpoint::Checkpoint& checkpoint, const ModuleWeight& weight,
                       const Fp8ScaleArgs& args) {
  const auto candidates = quant::tensor_candidates(args.scaling, args.target);
  quant::ScaleErrors errors(args.target, false);
  visit_served_rows(checkpoint, weight, args.arithmetic,
                    [&](std::span<const float> row) { errors.add_row(row, candidates); });
  return quant::least_error_scale(candidates, errors.sums(), args);
}

}  // namespace

WeightScales weight_scales(const checkpoint::Checkpoint& checkpoint, const ModuleWeight& weight,
                           const Fp8ScaleArgs& args, double smallest) {
  WeightScales result;
  result.product_dtype = args.hp_dtype;
  const auto& scaling = args.scaling;
  const bool per_channel =
      scaling.granularity == ScaleGranularity::kChannel && scaling.value != ScaleValue::kFixed;
  if (scaling.value == ScaleValue::kFixed ||
      (scaling.value == ScaleValue::kDummy && !per_channel)) {
    result.scale = formats::IncScale::one(quant::tensor_scale(0, args));
    return result;
  }
  const auto maxima = row_maxima(checkpoint, weight, args.arithmetic);
  result.amax = *std::max_element(maxima.begin(), maxima.end());
  result.zero_channels = std::count(maxima.begin(), maxima.end(), 0.0);
  if (per_channel) {
    result.product_dtype = weight.dtype;
    result.scale = {scaling.value == ScaleValue::kLeastError
                        ? searched_channels(checkpoint, weight, args, maxima)
                        : quant::channel_scales(maxima, weight.dtype, args),
                    true};
    for (double& scale : result.scale.values) scale = std::max(scale, smallest);
  } else if (scaling.value == ScaleValue::kLeastError) {
    result.product_dtype = Dtype::kF32;
    result.scale = {{searched_tensor(checkpoint, weight, args)}, true};
  } else {
    result.scale = formats::IncScale::one(quant::tensor_scale(result.amax, args));
  }
  return result;
}

}  // namespace whit::pipeline
