#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "scheme/fp8_scaling.h"
#include "tensor/tensor.h"

namespace whit::quant {

// kExact: double precision. kInc: as Intel Neural Compressor computes, where every step of a
// scale's computation, its logarithm included, is rounded to the high-precision dtype. Scales just
// above a power of two then round down; docs/fp8.md says which.
enum class ScaleArithmetic : std::uint8_t { kExact, kInc };

struct Fp8ScaleArgs {
  scheme::TensorScaling scaling;
  scheme::Fp8Target target;
  ScaleArithmetic arithmetic = ScaleArithmetic::kExact;
  // What kInc rounds to: BF16, F16 or F32.
  tensor::Dtype hp_dtype = tensor::Dtype::kBF16;
};

// Smallest per-channel quotient before rounding, a channel of zeros included: bf16's smallest
// normal number, whose inverse is finite.
inline constexpr double kSmallestChannelScale = 0x1p-126;

// Scale of a tensor whose largest magnitude is `amax` (finite, >= 0). kMaxabs, kFixed and kDummy.
// Of amax 0 it is what the rounding makes of it: 0, or the device's smallest scale; callers that
// quantize with it must know better (see zero handling in docs/fp8.md).
// Errors: kUnsupported where the target has no hardware-aligned scales; kInput where amax is not a
// number or the scale is beyond hp_dtype's range.
double tensor_scale(double amax, const Fp8ScaleArgs& args);

// The same for each channel of a weight, in the weight's own dtype under kInc (of kF16, kBF16's).
std::vector<double> channel_scales(std::span<const double> amax, tensor::Dtype weight_dtype,
                                   const Fp8ScaleArgs& args);

// a * b, rounded to `dtype` under kInc: the scale of a product of two scaled tensors.
double scale_product(double a, double b, ScaleArithmetic arithmetic, tensor::Dtype dtype);

// Squared errors that a weight's FP8 codes would have, for each of several scales, row by row of
// [rows, cols] as they come: encode(x / scale) * scale against x, saturating, sums in double.
class ScaleErrors {
 public:
  // `per_row`: errors are kept for every row; else one sum for all.
  ScaleErrors(const scheme::Fp8Target& target, bool per_row) : target_(target), per_row_(per_row) {}

  // scales: of this row, as many as in every other row.
  void add_row(std::span<const float> row, std::span<const double> scales);
  // [rows or 1, scales].
  const std::vector<double>& sums() const { return sums_; }

 private:
  scheme::Fp8Target target_;
  bool per_row_;
  std::vector<double> sums_;
};

// Candidates of kLeastError per tensor, in the order in which they are tried: the method's own
// where `scaling` names none.
std::vector<double> tensor_candidates(const scheme::TensorScaling& scaling,
                                      const scheme::Fp8Target& target);
// Multipliers of the reference scale, of kLeastError per channel.
std::vector<double> channel_multipliers(const scheme::TensorScaling& scaling);

// The last candidate with the least error: equal errors are the rule, because powers of two differ
// only where codes saturate or become subnormal. Source: neural_compressor_pt 3.10, mmse_scale.
double least_error_scale(std::span<const double> candidates, std::span<const double> errors,
                         const Fp8ScaleArgs& args);
// Of each channel: the first multiplier with the least error, times the channel's reference.
// errors: [references, multipliers]. Source: the same, mmse_scale_multi.
std::vector<double> least_error_channel_scales(std::span<const double> references,
                                               std::span<const double> multipliers,
                                               std::span<const double> errors,
                                               tensor::Dtype weight_dtype,
                                               const Fp8ScaleArgs& args);

// A number as the target's codes hold it: nearest, ties to even, saturating; Gaudi2 never sees a
// code of exponent 15. NaN stays NaN.
std::uint8_t encode_fp8(float value, const scheme::Fp8Target& target);
float decode_fp8(std::uint8_t code, scheme::Fp8Format format);

}  // namespace whit::quant
