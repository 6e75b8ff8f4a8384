#pragma once

#include <cstdint>
#include <vector>

#include "compute/backend.h"
#include "scheme/scheme.h"
#include "stats/statistic.h"

// GPTQ in LDLQ form (arXiv:2210.17323, arXiv:2307.13304): with H = U D Uᵀ, U unit upper triangular,
// q_k = Q(w_k + (W - Ŵ)[:, <k] U[<k, k]). The equations, and where they part from MoE-Quant's, are
// in docs/methods/gptq.md.
namespace whit::quant {

enum class ColumnOrder : std::uint8_t { kDefault, kActivation };

struct FactorArgs {
  ColumnOrder order = ColumnOrder::kActivation;
  double rel_damp =
      0.1;  // added to the diagonal, times its mean over the columns that are not dead
};

// The factor of one Gram; every weight that reads the same hidden state shares it.
struct Factor {
  tensor::Tensor u;                 // [K,K] on the device, columns in processing order
  std::vector<std::int32_t> order;  // processing position -> column
  std::vector<float> diagonal;      // of the damped Hessian, original column order
  std::vector<std::int32_t> dead;   // columns that never saw a non-zero input
  std::vector<double> pivots;       // [K] D of the damped Hessian, processing order
  std::vector<double> added;        // [K] what its diagonal gained over 2/tokens * Gram, same order
  double damping = 0;               // what was added, relative to the mean diagonal
  int attempts = 1;                 // factorizations until positive definite
  std::int64_t tokens = 0;

  std::int64_t width() const { return static_cast<std::int64_t>(order.size()); }
};

// column -> processing position.
std::vector<std::int32_t> inverse_of(std::span<const std::int32_t> order);

// Forms H = 2/tokens * Gram, orders, damps and factors it. Where a pivot fails, the damping grows
// tenfold (to 1e-3 at least) until it holds, and the result says so. A dead column gets the mean
// diagonal, which leaves it alone: it is rounded as it is. The Gram is not changed.
// Activation order: descending diagonal, equal ones by column. Memory: [K,K] F32.
// Errors: kInput where the Gram is not finite, has a negative diagonal, or cannot be damped into a
// positive definite matrix; kBug where it has seen no tokens.
Factor factor_gram(compute::Backend& backend, const stats::Gram& gram, const FactorArgs& args);

struct OutputMetric;

// What else is done for less error in the same format (docs/methods/refine.md).
struct RefineArgs {
  bool weighted_scales = false;  // the mse search weighs squared errors by the damped diagonal of H
  bool refit_scales = false;     // least squares under damped H, codes kept
  int descent_passes = 0;        // over the columns, on the error under damped H
  // Then another sweep and as many passes on the same scales, rows seeing each other; or null.
  const OutputMetric* metric = nullptr;

  // Whether anything is done after the sweep.
  bool after_sweep() const { return refit_scales || descent_passes > 0 || metric; }
};

struct WeightReport {
  double proxy_error = 0;        // tr((W-Ŵ)H(W-Ŵ)ᵀ) / tr(W H Wᵀ), undamped H
  double proxy_error_swept = 0;  // the same as the sweep left it, before any refinement
  double proxy_error_rtn = 0;    // the same for plain rounding on the grid of the search
  double damping = 0;
  int factor_attempts = 1;
  std::int64_t dead_columns = 0;
};

// w: F32 [N,K] on the device, finite, unchanged. block_size: columns swept at once.
// gram: the one that `factor` was made of. report may be null; filling it costs two more products
// of the size of the sweep's own, N K² multiply-adds in all. w need not be the checkpoint's: it may
// be a target that was moved.
// refine: none by default; what it costs is said at quant::refine.
// Memory: 2 F32 and 2 I8 matrices [N,K], one F32 [N, block_size], and what refine takes.
// Errors: kUsage for bits outside 2..8 or a group size outside 1..K; kUnsupported where it does not
// divide K.
scheme::GroupedInt gptq(compute::Backend& backend, tensor::ConstMatrixView w,
                        const stats::Gram& gram, const Factor& factor,
                        const compute::GridArgs& grid, std::int64_t block_size,
                        WeightReport* report, const RefineArgs& refine = {});

// Round to nearest on the grid that `grid` searches. w and errors as for gptq.
scheme::GroupedInt rtn(compute::Backend& backend, tensor::ConstMatrixView w,
                       const compute::GridArgs& grid);

// tr((W-Ŵ)H(W-Ŵ)ᵀ) / tr(W H Wᵀ) in double precision; 0 where the denominator is 0. Costs 4 N K²
// double-precision operations; gptq's report is cheaper.
double proxy_error(compute::Backend& backend, tensor::ConstMatrixView w,
                   tensor::ConstMatrixView w_hat, const stats::Gram& gram);

}  // namespace whit::quant
