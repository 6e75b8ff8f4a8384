#include "pipeline/fp8_quantizer.h"

#include <algorithm>

#include "base/error.h"

namespace whit::pipeline {

using scheme::ScaledFloat8;
using scheme::Strategy;

namespace {

std::string owner_of(const model::LinearSpec& linear) {
  return linear.module.substr(0, linear.module.rfind('.'));
}

quant::Fp8WeightArgs args_of(const BoundRecipe& bound) {
  return {bound.weights.strategy,  bound.weights.block_rows, bound.weights.block_cols,
          bound.recipe.fp8.target, bound.scaling.weight,     bound.scale_dtype};
}

// Whether `weight` has the blocks that are to be made, and nothing is asked of their scales.
bool has_blocks(const ScaledFloat8& weight, const quant::Fp8WeightArgs& args) {
  scheme::TensorScaling plain;
  plain.granularity = scheme::ScaleGranularity::kChannel;
  return args.strategy == Strategy::kBlock && weight.strategy == Strategy::kBlock &&
         weight.block_rows == args.block_rows && weight.block_cols == args.block_cols &&
         args.scaling == plain && weight.codes.dtype() == tensor::Dtype::kF8E4M3;
}

}  // namespace

Fp8Quantizer::Fp8Quantizer(const Plan& plan, const checkpoint::Checkpoint& source,
                           model::WeightSource& weights, compute::Backend& backend)
    : plan_(plan),
      weights_(weights),
      backend_(backend),
      source_(source),
      args_(args_of(plan.bound)) {
  const Fp8Recipe& fp8 = plan.bound.recipe.fp8;
  if (plan.bound.needs_maxima() && !fp8.measurements.empty()) measured_.emplace(fp8.measurements);
}

std::vector<std::string> Fp8Quantizer::warnings() const {
  return measured_ ? measured_->warnings() : std::vector<std::string>{};
}

void Fp8Quantizer::write_cache(const model::LayerSpec& layer, const MeasuredMaxima::Cache& cache,
                               StepWriter& writer) const {
  if (cache.key <= 0 || cache.value <= 0)
    base::fail(base::ErrorKind::kInput, attention_module(layer),
               "keys or values that are 0 for every calibration token; expected others");
  writer.cache(layer, input_scale(cache.key), input_scale(cache.value));
}

std::optional<float> Fp8Quantizer::measured_scale(const model::LayerSpec& layer,
                                                  const model::LinearSpec& linear) const {
  if (!plan_.bound.inputs || plan_.bound.inputs->dynamic) return std::nullopt;
  if (plan_.bound.recipe.fp8.stored_scales) return stored_scale(linear);
  return input_scale(measured_.value().input(layer, linear));
}

// The largest code stays what it was.
float Fp8Quantizer::stored_scale(const model::LinearSpec& linear) const {
  const auto stored = source_.input_scale(linear.module);
  if (!stored)
    base::fail(base::ErrorKind::kInput, linear.module + ".input_scale",
               "missing; expected the scale of static activations, which other linears have");
  const double limit = quant::code_limit(args_.target);
  return static_cast<float>(double{stored->scale} * double{stored->limit} / limit);
}

std::vector<WeightRecord> Fp8Quantizer::write_layer(const model::LayerSpec& layer, bool kept,
                                                    const Ranks& ranks, StepWriter& writer,
                                                    const base::CancelToken& cancel) {
  std::vector<WeightRecord> records;
  std::size_t turn = 0;
  for (const auto* linear : model::linears_of(layer)) {
    if (!plan_.bound.quantizes(*linear) || ranks.turn(turn++) != ranks.rank()) continue;
    cancel.throw_if_cancelled();
    writer.packed(*linear, quantize(layer, *linear), measured_scale(layer, *linear));
    records.push_back({});
    records.back().name = linear->module;
    records.back().method = name_of(Method::kFp8);
  }
  if (plan_.bound.recipe.fp8.kv_cache && !kept && ranks.is_root())
    write_cache(layer, measured_.value().cache(layer), writer);
  weights_.release(layer.index);
  return records;
}

ScaledFloat8 Fp8Quantizer::quantize(const model::LayerSpec& layer,
                                    const model::LinearSpec& linear) {
  if (args_.strategy == Strategy::kBlock && source_.is_quantized(linear.module)) {
    auto stored = source_.read(linear.module);
    if (auto* blocks = std::get_if<ScaledFloat8>(&*stored); blocks && has_blocks(*blocks, args_))
      return args_.target.device == scheme::Fp8Device::kGaudi2 ? quant::halved_for_gaudi2(*blocks)
                                                               : std::move(*blocks);
  }
  const std::optional<float> amax = shared_maximum(layer, linear);
  const auto weight = weights_.linear(linear);
  try {
    return quant::fp8(backend_, weight->matrix(), args_, amax);
  } catch (const base::Error& error) {
    if (error.kind() != base::ErrorKind::kInput) throw;
    base::fail(base::ErrorKind::kInput, linear.weight(), "{}", error.what());
  }
}

float Fp8Quantizer::input_scale(float amax) const {
  return quant::fp8_activation_scale(amax, plan_.bound.scaling.activation, args_.target,
                                     args_.scale_dtype);
}

std::optional<float> Fp8Quantizer::shared_maximum(const model::LayerSpec& layer,
                                                  const model::LinearSpec& linear) {
  if (args_.strategy != Strategy::kTensor || args_.scaling.value == scheme::ScaleValue::kLeastError)
    return std::nullopt;
  if (layer_ != layer.index) maxima_.clear();
  layer_ = layer.index;
  const std::pair key(linear.reads, owner_of(linear));
  if (const auto known = maxima_.find(key); known != maxima_.end()) return known->second;
  float most = 0;
  for (const auto* other : model::linears_of(layer)) {
    if (other->reads != linear.reads || owner_of(*other) != key.second ||
        !plan_.bound.quantizes(*other))
      continue;
    const auto weight = weights_.linear(*other);
    const tensor::ConstMatrixView w = weight->matrix();
    most = std::max(most, backend_.codec().block_maxima(w, w.rows, w.cols)[0]);
  }
  return maxima_.emplace(key, most).first->second;
}

}  // namespace whit::pipeline
