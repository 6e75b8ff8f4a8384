#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace whit::eval {

// What one token's distribution says. kl and agrees only beside a reference.
struct TokenScore {
  double nll_nats = 0;
  double reference_nll_nats = 0;
  double kl_nats = 0;  // KL(reference || model)
  bool agrees = false;
};

// Scores of rows: log_probabilities F32 [rows, vocabulary] on the host; target[i] < 0: row i is not
// scored and its entry stays zero. `reference` has the same shape, or no data. Each row is summed
// in double precision in vocabulary order, so that results do not depend on threads.
std::vector<TokenScore> score_rows(tensor::ConstMatrixView log_probabilities,
                                   tensor::ConstMatrixView reference,
                                   std::span<const std::int32_t> targets);

// Linear interpolation between order statistics, q in [0, 1]. NaN for no values.
double quantile(std::vector<double> values, double q);

// Standard error of the mean of independent values; NaN below two.
double standard_error(std::span<const double> values);

}  // namespace whit::eval
