#include "pipeline/fp8_recipe.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace whit::pipeline {

using base::ErrorKind;
using base::fail;
using formats::WeightFormat;
using scheme::Strategy;

namespace {

constexpr std::int64_t kFp8Block = 128;

Fp8Activations activations_of(const Recipe& recipe) {
  const bool inc = recipe.format == WeightFormat::kInc;
  return recipe.fp8.activations.value_or(inc ? Fp8Activations::kStatic : Fp8Activations::kDynamic);
}

Strategy strategy_of(const Recipe& recipe) {
  if (recipe.fp8.strategy) return *recipe.fp8.strategy;
  if (recipe.format == WeightFormat::kHfFp8) return Strategy::kBlock;
  return activations_of(recipe) == Fp8Activations::kStatic ? Strategy::kTensor : Strategy::kChannel;
}

// Scales of INC's files are BF16, so the default is its own method, whose scales are powers of two.
std::string method_of(const Recipe& recipe) {
  if (!recipe.fp8.scale_method.empty() || recipe.format != WeightFormat::kInc)
    return recipe.fp8.scale_method;
  return strategy_of(recipe) == Strategy::kChannel ? "ACT_MAXABS_HW_WEIGHTS_PCS_MAXABS_POW2"
                                                   : "MAXABS_HW";
}

void validate_inc(const Recipe& recipe) {
  if (activations_of(recipe) != Fp8Activations::kStatic)
    fail(ErrorKind::kUnsupported, "--activations",
         "other than static in inc, whose modules hold the scale of their input; expected static");
  if (strategy_of(recipe) == Strategy::kBlock)
    fail(ErrorKind::kUnsupported, "--weight-scales", "block in inc; expected tensor or channel");
  if (recipe.fp8.target.device == scheme::Fp8Device::kGeneric)
    fail(ErrorKind::kUsage, "--target", "generic with --format inc; expected gaudi2 or gaudi3");
}

void validate_hf_fp8(const Recipe& recipe) {
  if (activations_of(recipe) == Fp8Activations::kNone)
    fail(ErrorKind::kUnsupported, "--activations",
         "none in hf-fp8, whose servers always round activations; expected dynamic or static");
  if (strategy_of(recipe) == Strategy::kChannel)
    fail(ErrorKind::kUnsupported, "--weight-scales",
         "channel in hf-fp8; expected block or tensor, the two that it describes");
  if (recipe.fp8.kv_cache)
    fail(ErrorKind::kUnsupported, "--kv-cache",
         "fp8 in hf-fp8, which has no word for it; expected --format float-quantized");
  if (recipe.fp8.target.device == scheme::Fp8Device::kGaudi2)
    fail(ErrorKind::kUnsupported, "--target",
         "gaudi2 in hf-fp8, which cannot say that codes end at 240; expected --format "
         "float-quantized");
}

}  // namespace

void validate_fp8(const Recipe& recipe) {
  if (recipe.method == Method::kVptq) return;
  const bool integers = recipe.format == WeightFormat::kPackQuantized;
  if (recipe.method != Method::kFp8) {
    if (!integers)
      fail(ErrorKind::kUsage, "--format", "{} with --method {}; expected pack-quantized",
           formats::name_of(recipe.format), name_of(recipe.method));
    return;
  }
  if (integers)
    fail(ErrorKind::kUsage, "--format", "pack-quantized with --method fp8; expected {} or {}",
         formats::name_of(WeightFormat::kFloatQuantized), formats::name_of(WeightFormat::kHfFp8));
  if (recipe.group_size)
    fail(ErrorKind::kUsage, "--group-size",
         "{} with --method fp8; expected --weight-scales tensor, channel or block",
         *recipe.group_size);
  const Fp8Recipe& fp8 = recipe.fp8;
  if (fp8.target.format == scheme::Fp8Format::kE5M2 && recipe.format != WeightFormat::kInc)
    fail(ErrorKind::kUnsupported, "--fp8-format",
         "e5m2 in {}, whose loaders read e4m3; expected e4m3", formats::name_of(recipe.format));
  const bool fixed = activations_of(recipe) == Fp8Activations::kStatic;
  if (fixed && strategy_of(recipe) == Strategy::kBlock)
    fail(ErrorKind::kUnsupported, "--activations",
         "static beside weights by block, which no server reads; expected dynamic, or "
         "--weight-scales tensor");
  if (recipe.format == WeightFormat::kHfFp8) validate_hf_fp8(recipe);
  if (recipe.format == WeightFormat::kInc) validate_inc(recipe);
  if ((fixed || fp8.kv_cache) && recipe.calibration.empty() && fp8.measurements.empty() &&
      !fp8.stored_scales)
    throw base::Error(ErrorKind::kUsage, "--calibration",
                      fmt::format("absent; expected a file of text for {}",
                                  fixed ? "static activations" : "scales of the KV cache"))
        .suggest("give --calibration FILE.jsonl, or --measurements DIR of a run of INC");
  if (!fp8.measurements.empty() && !recipe.calibration.empty())
    fail(ErrorKind::kUsage, "--measurements",
         "given together with --calibration; expected one of them");
  if (!fp8.scale_method.empty()) {
    const auto* named = scheme::find_scale_method(fp8.scale_method);
    if (named == nullptr)
      fail(ErrorKind::kUsage, "--scale-method", "{}; expected one of INC's, such as MAXABS_POW2",
           fp8.scale_method);
    if (named->dynamic_only)
      fail(ErrorKind::kUnsupported, "--scale-method",
           "{}, of activations that are scaled by powers of two at run time, which {} cannot say; "
           "expected another",
           fp8.scale_method, formats::name_of(recipe.format));
  }
}

void bind_fp8(BoundRecipe& bound, const std::vector<const model::LinearSpec*>& selected) {
  const Recipe& recipe = bound.recipe;
  scheme::QuantArgs& weights = bound.weights;
  weights = {8, scheme::NumberType::kFloat, true, strategy_of(recipe), 0, 0, 0, false};
  if (weights.strategy == Strategy::kBlock) weights.block_rows = weights.block_cols = kFp8Block;
  bound.scale_dtype =
      recipe.format == WeightFormat::kInc ? tensor::Dtype::kBF16 : tensor::Dtype::kF32;
  if (activations_of(recipe) != Fp8Activations::kNone) {
    scheme::QuantArgs& inputs = bound.inputs.emplace(weights);
    inputs.block_rows = inputs.block_cols = 0;
    inputs.dynamic = activations_of(recipe) == Fp8Activations::kDynamic;
    inputs.strategy = !inputs.dynamic                        ? Strategy::kTensor
                      : weights.strategy == Strategy::kBlock ? Strategy::kGroup
                                                             : Strategy::kToken;
    if (inputs.strategy == Strategy::kGroup) inputs.group_size = kFp8Block;
  }
  bound.scale_method = method_of(recipe);
  if (const auto* named = scheme::find_scale_method(bound.scale_method))
    bound.scaling = named->method;
  if (bound.scaling.weight.value == scheme::ScaleValue::kLeastError &&
      weights.strategy == Strategy::kBlock)
    fail(ErrorKind::kUnsupported, "--scale-method",
         "{} of weights by block; expected a method of maxima", bound.scale_method);
  bound.scaling.weight.granularity = weights.strategy == Strategy::kTensor
                                         ? scheme::ScaleGranularity::kTensor
                                         : scheme::ScaleGranularity::kChannel;
  const bool ragged = std::any_of(selected.begin(), selected.end(), [](const auto* linear) {
    return linear->in_features % kFp8Block != 0;
  });
  if (weights.strategy == Strategy::kBlock && ragged)
    bound.notes.push_back(
        "input widths that 128 does not divide: vLLM's kernels of FP8 blocks "
        "refuse them");
}

}  // namespace whit::pipeline
