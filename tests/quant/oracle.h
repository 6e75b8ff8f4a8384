#pragma once

#include <cstdint>
#include <vector>

// MoE-Quant's quantizer as its equations say, in double precision and plain loops, sharing no code
// with whit: the inverse of the damped Hessian, the upper Cholesky factor of that inverse, and a
// column loop that pushes each column's error onto the later ones. Done right where its code is
// not: the mse search is used, minimum and maximum are not swapped, and the caller's order is
// applied to the Hessian once. Dead columns keep their weight (docs/methods/gptq.md).
namespace whit::oracle {

using Matrix = std::vector<double>;  // row-major

struct Args {
  int bits = 4;
  bool symmetric = true;
  std::int64_t group_size = 128;
  bool mse = true;
  bool activation_order = true;
  double rel_damp = 0.1;
  bool bf16_scales = true;   // else scales are kept as they are
  bool bf16_values = false;  // round decoded values as MoE-Quant does
};

struct Result {
  std::vector<int> codes;      // [N,K], signed
  std::vector<double> scales;  // [N,G]
  std::vector<int> zeros;      // [N,G], signed
  Matrix w_hat;                // [N,K]
  // How near each row came to a tie [N]: the least distance of a value from a rounding boundary, in
  // steps, and the least relative gap between a group's best and second best scale. Single
  // precision may decide a row otherwise whose margin is small, and everything after it in the row.
  std::vector<double> margin;
};

// H = 2/tokens xᵀx of x[T,K].
Matrix hessian(const std::vector<float>& x, std::int64_t width);

Result gptq(const std::vector<float>& w, std::int64_t width, const Matrix& h, const Args& args);
Result rtn(const std::vector<float>& w, std::int64_t width, const Args& args);

// tr((W-Ŵ)H(W-Ŵ)ᵀ) / tr(W H Wᵀ).
double proxy_error(const std::vector<float>& w, const Matrix& w_hat, const Matrix& h,
                   std::int64_t width);

}  // namespace whit::oracle
