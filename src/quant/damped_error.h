#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "compute/backend.h"
#include "quant/gptq.h"

// The proxy error out of the factor: with H + A = U D Uᵀ (A what the diagonal gained),
// tr(X (H+A) Xᵀ) = sum_k D_k |(X U)_k|² and tr(X A Xᵀ) = sum_k A_k |X_k|².
namespace whit::quant {

// Sums of squares of the columns of a matrix that is seen block by block. They stay on the device
// until read.
class ColumnSquares {
 public:
  ColumnSquares(compute::Backend& backend, std::int64_t width, std::int64_t block_size);

  // columns: the block that begins at first_col, a multiple of block_size; each block once.
  void observe(std::int64_t first_col, tensor::ConstMatrixView columns);
  // sum_k weights_k |column k|².
  double weighted_sum(std::span<const double> weights) const;

 private:
  compute::Backend* backend_;
  std::int64_t width_;
  std::int64_t block_size_;
  tensor::Tensor grams_;  // one [B,B] Gram a block, stacked
};

// tr(X H Xᵀ) of one X in processing order, as the damped form and the damping's part of it.
struct DampedError {
  double damped = 0;
  double added = 0;

  double undamped() const { return damped - added; }
  // Whether fp32 has left enough digits in the difference: 2 % of the whole keeps 4 of them.
  bool trusted() const { return undamped() >= 0.02 * damped; }
};

// x: [N,K] in processing order; scratch: [N, block_size]. N K² multiply-adds.
DampedError damped_error(compute::Backend& backend, tensor::ConstMatrixView x, const Factor& factor,
                         std::int64_t block_size, tensor::MatrixView scratch);

// tr(X G Xᵀ) 2/tokens in double precision; x in the original column order.
double exact_error(compute::Backend& backend, tensor::ConstMatrixView x, const stats::Gram& gram);

}  // namespace whit::quant
