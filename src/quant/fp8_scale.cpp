#include "quant/fp8_scale.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "numeric/float_codec.h"
#include "numeric/round_to.h"

namespace whit::quant {

namespace {

using base::ErrorKind;
using base::fail;
using scheme::ScaleRounding;
using scheme::ScaleValue;
using tensor::Dtype;

// What the steps of one computation are rounded to.
class Rounder {
 public:
  Rounder(ScaleArithmetic arithmetic, Dtype dtype)
      : exact_(arithmetic == ScaleArithmetic::kExact), dtype_(dtype) {}

  double round(double value) const {
    if (exact_) return value;
    return double{numeric::round_to(static_cast<float>(value), dtype_)};
  }
  // The quotient is formed in fp32 before it is rounded, as torch forms it.
  double divide(double a, double b) const {
    if (exact_) return a / b;
    return round(double{static_cast<float>(a) / static_cast<float>(b)});
  }
  // ceil(log2(value)); -inf of 0.
  double ceil_log2(double value) const {
    if (!exact_) return std::ceil(round(double{std::log2(static_cast<float>(value))}));
    if (value == 0 || std::isinf(value)) return std::log2(value);
    int exponent = 0;
    return std::frexp(value, &exponent) == 0.5 ? exponent - 1 : exponent;
  }
  double pow2(double value) const { return round(std::exp2(ceil_log2(value))); }

 private:
  bool exact_;
  Dtype dtype_;
};

std::vector<double> hw_scales(const scheme::Fp8Target& target) {
  auto scales = scheme::hw_aligned_scales(target.device);
  if (scales.empty())
    fail(ErrorKind::kUnsupported, "rounding HW_ALIGNED",
         "{} has no scales of its own; expected GAUDI2 or GAUDI3", scheme::name_of(target.device));
  return scales;
}

// Up to a scale of the device: the next power of the ratio of two neighbours.
double hw_aligned(double raw, const scheme::Fp8Target& target, const Rounder& rounder) {
  const auto scales = hw_scales(target);
  const double step = std::log2(scales[0] / scales[1]);
  const double power = rounder.ceil_log2(rounder.pow2(raw));
  const double aligned = rounder.round(std::exp2(std::ceil(power / step) * step));
  return std::min(std::max(aligned, rounder.round(scales.back())), rounder.round(scales.front()));
}

double rounded(double raw, const Fp8ScaleArgs& args, const Rounder& rounder) {
  switch (args.scaling.rounding) {
    case ScaleRounding::kIdentity:
      return raw;
    case ScaleRounding::kPow2:
      return rounder.pow2(raw);
    case ScaleRounding::kHwAligned:
      return hw_aligned(raw, args.target, rounder);
    case ScaleRounding::kHwAlignedFixed:
      return rounder.round(hw_scales(args.target).front());
    case ScaleRounding::kUnit:
      return 1;
  }
  return raw;
}

void check_amax(double amax) {
  if (!std::isfinite(amax) || amax < 0)
    fail(ErrorKind::kInput, "amax", "{}; expected a finite number, 0 or more", amax);
}

double checked(double scale, double amax) {
  if (!std::isfinite(scale))
    fail(ErrorKind::kInput, "scale", "{} of amax {}; expected one within hp_dtype's range", scale,
         amax);
  return scale;
}

// fp16 weights are taken as bf16, which is what the reference serves them in.
Dtype arithmetic_dtype(Dtype weight_dtype) {
  return weight_dtype == Dtype::kF32 ? Dtype::kF32 : Dtype::kBF16;
}

}  // namespace

double tensor_scale(double amax, const Fp8ScaleArgs& args) {
  check_amax(amax);
  const Rounder rounder(args.arithmetic, args.hp_dtype);
  if (args.scaling.value == ScaleValue::kDummy) return 1;
  if (args.scaling.value == ScaleValue::kFixed) return rounded(1, args, rounder);
  base::check(args.scaling.value == ScaleValue::kMaxabs, "tensor_scale: of a maximum");
  const double full = scheme::full_scale(args.target) * args.scaling.backoff;
  return checked(rounded(rounder.divide(rounder.round(amax), full), args, rounder), amax);
}

std::vector<double> channel_scales(std::span<const double> amax, Dtype weight_dtype,
                                   const Fp8ScaleArgs& args) {
  const Rounder rounder(args.arithmetic, arithmetic_dtype(weight_dtype));
  const double full = scheme::full_scale(args.target) * args.scaling.backoff;
  std::vector<double> scales;
  scales.reserve(amax.size());
  for (const double value : amax) {
    check_amax(value);
    if (args.scaling.value == ScaleValue::kDummy) {
      scales.push_back(1);
      continue;
    }
    const double raw = std::max(rounder.divide(value, full), kSmallestChannelScale);
    scales.push_back(checked(rounded(raw, args, rounder), value));
  }
  return scales;
}

double scale_product(double a, double b, ScaleArithmetic arithmetic, Dtype dtype) {
  const Rounder rounder(arithmetic, dtype);
  if (arithmetic == ScaleArithmetic::kExact) return a * b;
  return rounder.round(double{static_cast<float>(a) * static_cast<float>(b)});
}

void ScaleErrors::add_row(std::span<const float> row, std::span<const double> scales) {
  if (per_row_ || sums_.empty()) sums_.resize(sums_.size() + scales.size());
  double* sums = sums_.data() + (sums_.size() - scales.size());
  for (std::size_t s = 0; s < scales.size(); ++s) {
    double sum = 0;
    for (const float x : row) {
      const auto scaled = static_cast<float>(double{x} / scales[s]);
      const float coded = decode_fp8(encode_fp8(scaled, target_), target_.format);
      const double error = double{x} - double{coded} * scales[s];
      sum += error * error;
    }
    sums[s] += sum;
  }
}

std::vector<double> tensor_candidates(const scheme::TensorScaling& scaling,
                                      const scheme::Fp8Target& target) {
  if (!scaling.candidates.empty()) return scaling.candidates;
  if (scaling.rounding == ScaleRounding::kHwAligned) return hw_scales(target);
  std::vector<double> candidates;
  for (int power = -10; power < 10; ++power) candidates.push_back(std::ldexp(1.0, power));
  return candidates;
}

std::vector<double> channel_multipliers(const scheme::TensorScaling& scaling) {
  if (!scaling.candidates.empty()) return scaling.candidates;
  std::vector<double> multipliers;
  for (int power = -3; power < 5; ++power) multipliers.push_back(std::ldexp(1.0, power));
  return multipliers;
}

double least_error_scale(std::span<const double> candidates, std::span<const double> errors,
                         const Fp8ScaleArgs& args) {
  base::check(!candidates.empty() && candidates.size() == errors.size(),
              "least_error_scale: an error for each candidate");
  std::size_t best = 0;
  for (std::size_t i = 1; i < candidates.size(); ++i)
    if (errors[i] <= errors[best]) best = i;
  // Candidates are fp32 numbers in the reference, whatever hp_dtype is.
  return rounded(candidates[best], args, Rounder(args.arithmetic, Dtype::kF32));
}

std::vector<double> least_error_channel_scales(std::span<const double> references,
                                               std::span<const double> multipliers,
                                               std::span<const double> errors, Dtype weight_dtype,
                                               const Fp8ScaleArgs& args) {
  base::check(errors.size() == references.size() * multipliers.size() && !multipliers.empty(),
              "least_error_channel_scales: an error for each multiplier of each channel");
  const Rounder rounder(args.arithmetic, arithmetic_dtype(weight_dtype));
  std::vector<double> scales;
  for (std::size_t channel = 0; channel < references.size(); ++channel) {
    const auto row = errors.subspan(channel * multipliers.size(), multipliers.size());
    std::size_t best = 0;
    for (std::size_t i = 1; i < multipliers.size(); ++i)
      if (row[i] < row[best]) best = i;
    const double scale = rounder.round(multipliers[best] * references[channel]);
    scales.push_back(rounded(scale, args, rounder));
  }
  return scales;
}

std::uint8_t encode_fp8(float value, const scheme::Fp8Target& target) {
  if (target.format == scheme::Fp8Format::kE5M2) return numeric::f32_to_e5m2(value);
  if (target.device == scheme::Fp8Device::kGaudi2)
    value = std::isnan(value)
                ? value
                : std::clamp(value, -numeric::kE4M3MaxGaudi2, numeric::kE4M3MaxGaudi2);
  return numeric::f32_to_e4m3(value);
}

float decode_fp8(std::uint8_t code, scheme::Fp8Format format) {
  return format == scheme::Fp8Format::kE5M2 ? numeric::e5m2_to_f32(code)
                                            : numeric::e4m3_to_f32(code);
}

}  // namespace whit::quant
