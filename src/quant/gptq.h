#pragma once

#include <cstdint>
#include <vector>

#include "compute/backend.h"
#include "scheme/scheme.h"
#include "stats/statistic.h"

// GPTQ in LDLQ form (arXiv:2210.17323, arXiv:2307.13304): with H = U D Uᵀ, U unit upper triangular,
// q_k = Q(w_k + (W - Ŵ)[:, <k] U[<k, k]).
namespace whit::quant {

enum class ColumnOrder : std::uint8_t { kDefault, kActivation };

struct FactorArgs {
  ColumnOrder order = ColumnOrder::kActivation;
  double rel_damp = 0.1;  // added to the diagonal, times its mean
};

// The factor of one Gram; every weight that reads the same hidden state shares it.
struct Factor {
  tensor::Tensor u;                         // [K,K] on the device, columns in processing order
  std::vector<std::int32_t> order;          // processing position -> column
  std::vector<float> diagonal;              // of the damped Hessian, original column order
  std::vector<std::int32_t> dead;           // columns that never saw a non-zero input
  double damping = 0;                       // what was added, relative to the mean diagonal
  int attempts = 1;                         // factorizations until positive definite
  std::int64_t tokens = 0;
};

// Forms H = 2/tokens * Gram, orders, damps and factors it. Where a pivot fails, the damping grows
// tenfold from max(rel_damp, 1e-3) until it holds, and the result says so. The Gram is not changed.
// Errors: kInput where the Gram is not finite.
Factor factor_gram(compute::Backend& backend, const stats::Gram& gram, const FactorArgs& args);

struct WeightReport {
  double proxy_error = 0;      // tr((W-Ŵ)H(W-Ŵ)ᵀ) / tr(W H Wᵀ), undamped H
  double proxy_error_rtn = 0;  // the same for plain rounding on the same grid search
  double damping = 0;
  int factor_attempts = 1;
  std::int64_t dead_columns = 0;
};

// w: F32 [N,K] on the device, unchanged. block_size: columns swept at once.
scheme::GroupedInt gptq(compute::Backend& backend, tensor::ConstMatrixView w, const stats::Gram& gram,
                        const Factor& factor, const compute::GridArgs& grid, std::int64_t block_size,
                        WeightReport* report);

// Round to nearest on the grid that `grid` searches.
scheme::GroupedInt rtn(compute::Backend& backend, tensor::ConstMatrixView w,
                       const compute::GridArgs& grid);

// tr((W-Ŵ)H(W-Ŵ)ᵀ) / tr(W H Wᵀ); 0 where the denominator is 0.
double proxy_error(compute::Backend& backend, tensor::ConstMatrixView w, tensor::ConstMatrixView w_hat,
                   const stats::Gram& gram);

}  // namespace whit::quant
