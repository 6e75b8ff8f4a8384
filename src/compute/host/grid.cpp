#include "compute/host/grid.h"

#include <limits>

#include "base/error.h"
#include "numeric/round_to.h"

namespace whit::compute::host {

namespace {

struct ScaleType {
  float least;
  float largest;
};

ScaleType limits_of(tensor::Dtype dtype) {
  switch (dtype) {
    case tensor::Dtype::kF32:
      return {std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::max()};
    case tensor::Dtype::kBF16:
      return {numeric::bf16_to_f32(0x0001), numeric::bf16_to_f32(0x7f7f)};
    case tensor::Dtype::kF16:
      return {numeric::f16_to_f32(0x0001), numeric::f16_to_f32(0x7bff)};
    default:
      break;
  }
  base::fail(base::ErrorKind::kUnsupported, "scale_dtype", "{}; expected F32, BF16 or F16",
             numeric::name_of(dtype));
}

}  // namespace

float storable_scale(float scale, tensor::Dtype dtype) {
  const ScaleType limits = limits_of(dtype);
  const float value = numeric::round_to(scale, dtype);
  if (value < limits.least) return limits.least;
  return value > limits.largest ? limits.largest : value;
}

GroupGrid covering_grid(float lo, float hi, const GridArgs& args) {
  const float steps = static_cast<float>((1 << args.bits) - 1);
  const float code_lo = static_cast<float>(scheme::code_min(args.bits));
  const float code_hi = static_cast<float>(scheme::code_max(args.bits));
  if (!(lo < 0) && !(hi > 0)) return {};
  if (args.symmetric) {
    const float largest = -lo > hi ? -lo : hi;
    return {storable_scale(largest / (0.5F * steps), args.scale_dtype), 0.0F};
  }
  const float scale = storable_scale((hi - lo) / steps, args.scale_dtype);
  const float zero = std::nearbyint(code_lo - lo / scale);
  const float above = zero > code_lo ? zero : code_lo;
  return {scale, above < code_hi ? above : code_hi};
}

double group_loss(const float* w, const GridArgs& args, const GroupGrid& grid,
                  const float* column_weights) {
  const float lo = static_cast<float>(scheme::code_min(args.bits));
  const float hi = static_cast<float>(scheme::code_max(args.bits));
  double sum = 0;
  for (std::int64_t k = 0; k < args.group_size; ++k) {
    const float code = code_of(w[k], grid.scale, grid.zero, lo, hi);
    const double error = static_cast<double>(w[k]) -
                         static_cast<double>(code - grid.zero) * static_cast<double>(grid.scale);
    sum += column_weights == nullptr ? std::pow(std::abs(error), kSearchNorm)
                                     : static_cast<double>(column_weights[k]) * error * error;
  }
  return sum;
}

std::int64_t checked_groups(std::int64_t cols, const GridArgs& args) {
  if (args.bits < 1 || args.bits > 8)
    base::fail(base::ErrorKind::kUnsupported, "bits", "{}; expected 1 to 8", args.bits);
  if (args.group_size < 1 || args.group_size > cols || cols % args.group_size != 0)
    base::fail(base::ErrorKind::kUnsupported, "group_size",
               "groups of {} do not divide {} columns; expected a divisor", args.group_size, cols);
  return cols / args.group_size;
}

std::int64_t checked_fit(ConstMatrixView w, const GridArgs& args,
                         std::span<const float> column_weights, ConstMatrixView scales) {
  const std::int64_t groups = checked_groups(w.cols, args);
  base::check(scales.rows == w.rows && scales.cols == groups, "fit_scales: scales");
  base::check(column_weights.empty() || static_cast<std::int64_t>(column_weights.size()) == w.cols,
              "fit_scales: column weights");
  return groups;
}

std::int64_t checked_rounding(ConstMatrixView w, const GridArgs& args, ConstMatrixView scales,
                              ConstMatrixView codes) {
  const std::int64_t groups = checked_groups(w.cols, args);
  base::check(scales.rows == w.rows && scales.cols == groups, "round_to_grid: scales");
  base::check(codes.rows == w.rows && codes.cols == w.cols, "round_to_grid: codes");
  return groups;
}

}  // namespace whit::compute::host
