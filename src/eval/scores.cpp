#include "eval/scores.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/sampler.h"

namespace whit::eval {

namespace {

TokenScore score_row(std::span<const float> p, std::span<const float> reference,
                     std::int32_t target) {
  const auto index = static_cast<std::size_t>(target);
  TokenScore score;
  score.nll_nats = -static_cast<double>(p[index]);
  if (reference.empty()) return score;
  score.reference_nll_nats = -static_cast<double>(reference[index]);
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const auto weight = static_cast<double>(std::exp(reference[i]));
    if (weight > 0) sum += weight * (static_cast<double>(reference[i]) - static_cast<double>(p[i]));
  }
  score.kl_nats = std::max(sum, 0.0);
  score.agrees = runtime::argmax(p) == runtime::argmax(reference);
  return score;
}

}  // namespace

std::vector<TokenScore> score_rows(tensor::ConstMatrixView log_probabilities,
                                   tensor::ConstMatrixView reference,
                                   std::span<const std::int32_t> targets) {
  std::vector<TokenScore> scores(targets.size());
  const auto cols = static_cast<std::size_t>(log_probabilities.cols);
  const auto rows = static_cast<std::int64_t>(targets.size());
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < rows; ++i) {
    const auto row = static_cast<std::size_t>(i);
    if (targets[row] < 0) continue;
    const std::span<const float> p{log_probabilities.row<float>(i), cols};
    std::span<const float> q;
    if (reference.data != nullptr) q = {reference.row<float>(i), cols};
    scores[row] = score_row(p, q, targets[row]);
  }
  return scores;
}

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(values.begin(), values.end());
  const double position = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (position - static_cast<double>(below)) * (values[above] - values[below]);
}

double standard_error(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  if (values.size() < 2) return std::numeric_limits<double>::quiet_NaN();
  double mean = 0;
  for (const double v : values) mean += v / n;
  double squares = 0;
  for (const double v : values) squares += (v - mean) * (v - mean);
  return std::sqrt(squares / (n - 1) / n);
}

}  // namespace whit::eval
