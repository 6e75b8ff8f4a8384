#include "quant/damped_error.h"

#include <algorithm>
#include <numeric>

#include "base/checked.h"

namespace whit::quant {

using compute::Transpose;

ColumnSquares::ColumnSquares(compute::Backend& backend, std::int64_t width, std::int64_t block_size)
    : backend_(&backend),
      width_(width),
      block_size_(block_size),
      grams_(backend.memory().allocate({base::round_up(width, block_size), block_size},
                                       tensor::Dtype::kF32)) {}

void ColumnSquares::observe(std::int64_t first_col, tensor::ConstMatrixView columns) {
  auto slot = grams_.matrix().sub(first_col, columns.cols, 0, columns.cols);
  backend_->linalg().gram(columns, {}, slot);
}

double ColumnSquares::weighted_sum(std::span<const double> weights) const {
  double sum = 0;
  for (std::int64_t b = 0; b < width_; b += block_size_) {
    const std::int64_t size = std::min(block_size_, width_ - b);
    const auto squares = backend_->linalg().diagonal(grams_.matrix().sub(b, size, 0, size));
    sum = std::inner_product(squares.begin(), squares.end(), weights.begin() + b, sum);
  }
  return sum;
}

DampedError damped_error(compute::Backend& backend, tensor::ConstMatrixView x, const Factor& factor,
                         std::int64_t block_size, tensor::MatrixView scratch) {
  ColumnSquares turned(backend, x.cols, block_size);
  ColumnSquares plain(backend, x.cols, block_size);
  const tensor::ConstMatrixView u = factor.u.matrix();
  for (std::int64_t b = 0; b < x.cols; b += block_size) {
    const std::int64_t size = std::min(block_size, x.cols - b);
    const auto y = scratch.sub(0, x.rows, 0, size);
    // U is zero below its diagonal, so rows beyond the block add nothing.
    backend.linalg().gemm(1.0F, x.sub(0, x.rows, 0, b + size), Transpose::kNo,
                          u.sub(0, b + size, b, size), Transpose::kNo, 0.0F, y);
    turned.observe(b, y);
    plain.observe(b, x.sub(0, x.rows, b, size));
  }
  return {turned.weighted_sum(factor.pivots), plain.weighted_sum(factor.added)};
}

double exact_error(compute::Backend& backend, tensor::ConstMatrixView x, const stats::Gram& gram) {
  const auto rows = backend.linalg().quadratic_form(x, gram.sum());
  return std::accumulate(rows.begin(), rows.end(), 0.0) * 2.0 / static_cast<double>(gram.tokens());
}

double proxy_error(compute::Backend& backend, tensor::ConstMatrixView w,
                   tensor::ConstMatrixView w_hat, const stats::Gram& gram) {
  tensor::Tensor lost = backend.memory().allocate({w.rows, w.cols}, tensor::Dtype::kF32);
  backend.memory().copy(w, lost.matrix());
  backend.linalg().scale_add(1.0F, lost.matrix(), -1.0F, w_hat);
  const double whole = exact_error(backend, w, gram);
  return whole == 0 ? 0.0 : exact_error(backend, lost.matrix(), gram) / whole;
}

}  // namespace whit::quant
