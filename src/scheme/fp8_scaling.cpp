#include "scheme/fp8_scaling.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "numeric/float_codec.h"

namespace whit::scheme {

namespace {

// Shares of the full range that maxima are laid to: calibration misses outliers of activations,
// never of weights.
constexpr double kActivationBackoff = 0.25;
constexpr double kWeightBackoff = 0.5;

constexpr auto kTensor = ScaleGranularity::kTensor;
constexpr auto kChannel = ScaleGranularity::kChannel;
constexpr auto kMaxabs = ScaleValue::kMaxabs;
constexpr auto kLeastError = ScaleValue::kLeastError;
constexpr auto kPow2 = ScaleRounding::kPow2;
constexpr auto kHwAligned = ScaleRounding::kHwAligned;

ScaleMethod fixed(ScaleRounding rounding) {
  const TensorScaling one{kTensor, ScaleValue::kFixed, rounding, 1, {}};
  return {one, one};
}

ScaleMethod method(ScaleGranularity weight_granularity, ScaleValue weight_value,
                   ScaleRounding weight_rounding, ScaleRounding activation_rounding) {
  return {{weight_granularity, weight_value, weight_rounding, kWeightBackoff, {}},
          {kTensor, kMaxabs, activation_rounding, kActivationBackoff, {}}};
}

// Activations scaled token by token at run time, with the backoff of weights.
ScaleMethod per_token(ScaleGranularity weight_granularity, ScaleRounding weight_rounding) {
  return {{weight_granularity, kMaxabs, weight_rounding, kWeightBackoff, {}},
          {kChannel, kMaxabs, kPow2, kWeightBackoff, {}}};
}

std::array<NamedScaleMethod, 13> make_methods() {
  constexpr auto kIdentity = ScaleRounding::kIdentity;
  return {{
      {"UNIT_SCALE", false, fixed(ScaleRounding::kUnit)},
      {"HW_ALIGNED_SINGLE_SCALE", false, fixed(ScaleRounding::kHwAlignedFixed)},
      {"MAXABS_HW", false, method(kTensor, kMaxabs, kHwAligned, kHwAligned)},
      {"MAXABS_POW2", false, method(kTensor, kMaxabs, kPow2, kPow2)},
      {"MAXABS_ARBITRARY", false, method(kTensor, kMaxabs, kIdentity, kIdentity)},
      {"MAXABS_HW_OPT_WEIGHT", false, method(kTensor, kLeastError, kHwAligned, kHwAligned)},
      {"MAXABS_POW2_OPT_WEIGHT", false, method(kTensor, kLeastError, kPow2, kPow2)},
      {"ACT_MAXABS_HW_WEIGHTS_PCS_MAXABS_POW2", false,
       method(kChannel, kMaxabs, kPow2, kHwAligned)},
      {"ACT_MAXABS_HW_WEIGHTS_PCS_OPT_POW2", false,
       method(kChannel, kLeastError, kPow2, kHwAligned)},
      {"ACT_MAXABS_POW2_WEIGHTS_PCS_MAXABS_POW2", false, method(kChannel, kMaxabs, kPow2, kPow2)},
      {"ACT_MAXABS_POW2_WEIGHTS_PCS_OPT_POW2", false, method(kChannel, kLeastError, kPow2, kPow2)},
      {"ACT_MAXABS_PCS_POW2_WEIGHT_MAXABS_PTS_POW2_HW", true, per_token(kTensor, kHwAligned)},
      {"MAXABS_PCS_POW2", true, per_token(kChannel, kPow2)},
  }};
}

constexpr std::array<std::string_view, 3> kDevices{"GAUDI2", "GAUDI3", "GENERIC"};
constexpr std::array<std::string_view, 2> kGranularities{"PTS", "PCS"};
constexpr std::array<std::string_view, 4> kValues{"MAXABS", "FIXED_VALUE", "OPT", "DUMMY_SCALES"};
constexpr std::array<std::string_view, 5> kRoundings{"IDENTITY", "POW2", "HW_ALIGNED",
                                                     "HW_ALIGNED_FIXED", "SCALE_UNIT"};

template <typename Enum, std::size_t kCount>
std::optional<Enum> find_name(const std::array<std::string_view, kCount>& names,
                              std::string_view name) {
  const auto* place = std::find(names.begin(), names.end(), name);
  if (place == names.end()) return std::nullopt;
  return static_cast<Enum>(place - names.begin());
}

}  // namespace

bool TensorScaling::same_kind(const TensorScaling& other) const {
  return granularity == other.granularity && value == other.value && rounding == other.rounding;
}

bool ScaleMethod::per_channel() const {
  return weight.granularity == kChannel || activation.granularity == kChannel;
}

std::span<const NamedScaleMethod> named_scale_methods() {
  static const auto kMethods = make_methods();
  return kMethods;
}

const NamedScaleMethod* find_scale_method(std::string_view name) {
  for (const auto& named : named_scale_methods())
    if (named.name == name) return &named;
  return nullptr;
}

const NamedScaleMethod* named_like(const ScaleMethod& method) {
  for (const auto& named : named_scale_methods())
    if (named.method.weight.same_kind(method.weight) &&
        named.method.activation.same_kind(method.activation))
      return &named;
  return nullptr;
}

std::string_view name_of(Fp8Device device) {
  return kDevices.at(static_cast<std::size_t>(device));
}
std::string_view name_of(ScaleGranularity granularity) {
  return kGranularities.at(static_cast<std::size_t>(granularity));
}
std::string_view name_of(ScaleValue value) {
  return kValues.at(static_cast<std::size_t>(value));
}
std::string_view name_of(ScaleRounding rounding) {
  return kRoundings.at(static_cast<std::size_t>(rounding));
}

std::optional<ScaleGranularity> scale_granularity_from_name(std::string_view name) {
  return find_name<ScaleGranularity>(kGranularities, name);
}
std::optional<ScaleValue> scale_value_from_name(std::string_view name) {
  return find_name<ScaleValue>(kValues, name);
}
std::optional<ScaleRounding> scale_rounding_from_name(std::string_view name) {
  return find_name<ScaleRounding>(kRoundings, name);
}

std::string to_string(const TensorScaling& scaling) {
  return fmt::format("{}/{}/{}", name_of(scaling.granularity), name_of(scaling.value),
                     name_of(scaling.rounding));
}

double full_scale(const Fp8Target& target) {
  if (target.format == Fp8Format::kE5M2) return double{numeric::kE5M2Max};
  return target.device == Fp8Device::kGaudi2 ? double{numeric::kE4M3MaxGaudi2}
                                             : double{numeric::kE4M3Max};
}

std::vector<double> hw_aligned_scales(Fp8Device device) {
  // 2^(7 - bias) of the exponent biases that the device offers.
  std::vector<double> scales;
  if (device == Fp8Device::kGaudi2)
    for (int bias = 3; bias <= 15; bias += 4) scales.push_back(std::ldexp(1.0, 7 - bias));
  if (device == Fp8Device::kGaudi3)
    for (int bias = 0; bias <= 62; ++bias) scales.push_back(std::ldexp(1.0, 7 - bias));
  return scales;
}

}  // namespace whit::scheme
