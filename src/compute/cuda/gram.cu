#include "compute/cuda/gram.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "compute/cuda/gram_sm90.h"
#include "compute/cuda/kernel.cuh"
#include "compute/cuda/product.h"

namespace whit::compute::cuda {

namespace {

// Rows whose sum is promoted to fp32 at once: a tensor core's own accumulator truncates.
constexpr std::int64_t kPanelRows = 1024;
// Below so many multiply-adds a panel is multiplied in fp32 as it is.
constexpr std::int64_t kWorthSplitting = std::int64_t{1} << 26;

void mirror(const Context& context, MatrixView g) {
  const auto m = rows_of<float>(g);
  each(context, g.rows, g.cols, "mirroring a Gram", [=] __device__(std::int64_t i, std::int64_t j) {
    if (j > i) m[i][j] = m[j][i];
  });
}

// The lower triangle of g += AᵀB, panel by panel; both [rows, stride] BF16.
class Panels {
 public:
  Panels(const Context& context, std::int64_t rows, std::int64_t stride, MatrixView g)
      : context_(context), rows_(rows), stride_(stride), g_(g) {}

  void add(const std::uint16_t* a, const std::uint16_t* b) const {
    const float one = 1.0F;
    const auto size = static_cast<int>(g_.rows);
    for (std::int64_t t = 0; t < rows_; t += kPanelRows)
      check(cublasGemmEx(context_.blas(), CUBLAS_OP_N, CUBLAS_OP_T, size, size,
                         static_cast<int>(std::min(kPanelRows, rows_ - t)), &one, b + t * stride_,
                         CUDA_R_16BF, static_cast<int>(stride_), a + t * stride_, CUDA_R_16BF,
                         static_cast<int>(stride_), &one, g_.data, CUDA_R_32F,
                         static_cast<int>(g_.stride), CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
            "Gram");
  }

 private:
  const Context& context_;
  std::int64_t rows_, stride_;
  MatrixView g_;
};

void add_split(const Context& context, ConstMatrixView x, const float* factors, bool exact,
               MatrixView g) {
  const auto stride = base::round_up<std::int64_t>(x.cols, 8);
  const Temporary<std::uint16_t> high(context, x.rows * stride);
  std::optional<Temporary<std::uint16_t>> low;
  const Temporary<int> any_low(context, 1);
  any_low.clear();
  if (exact) low.emplace(context, x.rows * stride);
  split_bf16(context, x, factors, high.data(), exact ? low->data() : nullptr, stride,
             any_low.data());
  const Panels panels(context, x.rows, stride, g);
  if (exact && any_low.read()[0] != 0) {
    panels.add(low->data(), high.data());
    panels.add(high.data(), low->data());
  }
  if (context.properties().major == 9) {
    add_gram_sm90(context, high.data(), x.rows, stride, g);
    return;
  }
  panels.add(high.data(), high.data());
  mirror(context, g);
}

// weights: one a row, or null.
void add_in_fp32(const Context& context, ConstMatrixView x, const float* weights, MatrixView g) {
  std::optional<Temporary<float>> scaled;
  ConstMatrixView left = x;
  if (weights != nullptr) {
    scaled.emplace(context, x.rows * x.cols);
    float* to = scaled->data();
    const auto from = rows_of<float>(x);
    const std::int64_t cols = x.cols;
    each(context, x.rows, x.cols, "weighing rows", [=] __device__(std::int64_t i, std::int64_t j) {
      to[i * cols + j] = from[i][j] * weights[i];
    });
    left = {reinterpret_cast<const std::byte*>(to), x.dtype, x.rows, cols, cols, x.device};
  }
  for (std::int64_t t = 0; t < x.rows; t += kPanelRows) {
    const std::int64_t rows = std::min(kPanelRows, x.rows - t);
    multiply(context, Product::kExact, 1.0F, left.rows_of(t, rows), Transpose::kYes,
             x.rows_of(t, rows), Transpose::kNo, 1.0F, g);
  }
  mirror(context, g);
}

}  // namespace

void add_gram(const Context& context, ConstMatrixView x, std::span<const float> row_weights,
              MatrixView g) {
  if (x.rows == 0 || x.cols == 0) return;
  const bool weighted = !row_weights.empty();
  const bool positive = std::all_of(row_weights.begin(), row_weights.end(),
                                    [](float w) { return w >= 0; });
  if (!positive || x.cols * x.cols * std::min(x.rows, kPanelRows) < kWorthSplitting) {
    const Temporary<float> weights(context, row_weights);
    add_in_fp32(context, x, weighted ? weights.data() : nullptr, g);
    return;
  }
  // Both sides get the square root of a row's weight.
  std::vector<float> roots(row_weights.begin(), row_weights.end());
  for (float& w : roots) w = std::sqrt(w);
  const Temporary<float> factors(context, std::span<const float>(roots));
  add_split(context, x, weighted ? factors.data() : nullptr,
            context.precision() == Precision::kF32, g);
}

}  // namespace whit::compute::cuda
