#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "base/error.h"
#include "quant/gptq.h"

namespace whit::quant {

namespace {

using base::ErrorKind;

constexpr double kLeastRetry = 1e-3;  // relative damping of the first retry, at least
constexpr double kMostDamping = 1e6;  // beyond this the matrix is no Gram

std::vector<double> checked_diagonal(compute::Backend& backend, const stats::Gram& gram) {
  std::vector<double> diagonal = backend.linalg().diagonal(gram.sum());
  for (std::size_t k = 0; k < diagonal.size(); ++k)
    if (!(diagonal[k] >= 0) || !std::isfinite(diagonal[k]))
      base::fail(ErrorKind::kInput, "activations",
                 "column {} has sum of squares {}; expected a finite number >= 0", k, diagonal[k]);
  return diagonal;
}

std::vector<std::int32_t> order_columns(const std::vector<double>& diagonal, ColumnOrder order) {
  std::vector<std::int32_t> columns(diagonal.size());
  std::iota(columns.begin(), columns.end(), 0);
  if (order == ColumnOrder::kActivation)
    std::stable_sort(columns.begin(), columns.end(), [&](std::int32_t a, std::int32_t b) {
      return diagonal[static_cast<std::size_t>(a)] > diagonal[static_cast<std::size_t>(b)];
    });
  return columns;
}

bool all_positive(const std::vector<double>& pivots) {
  return std::all_of(pivots.begin(), pivots.end(),
                     [](double d) { return d > 0 && std::isfinite(d); });
}

// One attempt; U goes to factor.u.
std::optional<std::vector<double>> try_factor(compute::Backend& backend, const stats::Gram& gram,
                                              std::span<const double> added, Factor& factor) {
  backend.linalg().permute(gram.sum(), factor.order, factor.order, factor.u.matrix());
  backend.linalg().add_to_diagonal(factor.u.matrix(), added);
  auto pivots = backend.solve().factor_udu(factor.u.matrix());
  if (pivots && !all_positive(*pivots)) return std::nullopt;
  return pivots;
}

}  // namespace

Factor factor_gram(compute::Backend& backend, const stats::Gram& gram, const FactorArgs& args) {
  base::check(gram.tokens() > 0, "factor_gram: the Gram has seen tokens");
  base::check(args.rel_damp >= 0, "factor_gram: rel_damp >= 0");
  const std::vector<double> diagonal = checked_diagonal(backend, gram);
  const std::size_t width = diagonal.size();

  Factor factor;
  factor.tokens = gram.tokens();
  factor.order = order_columns(diagonal, args.order);
  for (std::size_t k = 0; k < width; ++k)
    if (diagonal[k] == 0) factor.dead.push_back(static_cast<std::int32_t>(k));
  const std::size_t alive = width - factor.dead.size();
  const double sum = std::accumulate(diagonal.begin(), diagonal.end(), 0.0);
  const double mean = alive == 0 ? 1.0 : sum / static_cast<double>(alive);

  // U does not depend on H's scale: the Gram is factored, and the factor 2/tokens put on what the
  // caller sees.
  const double to_hessian = 2.0 / static_cast<double>(gram.tokens());
  factor.u = backend.memory().allocate({gram.width(), gram.width()}, tensor::Dtype::kF32);
  factor.added.resize(width);
  factor.damping = args.rel_damp;
  std::optional<std::vector<double>> pivots;
  for (;; ++factor.attempts) {
    for (std::size_t i = 0; i < width; ++i) {
      const bool dead = diagonal[static_cast<std::size_t>(factor.order[i])] == 0;
      factor.added[i] = mean * (factor.damping + (dead ? 1.0 : 0.0));
    }
    pivots = try_factor(backend, gram, factor.added, factor);
    if (pivots) break;
    factor.damping = std::max(10 * factor.damping, kLeastRetry);
    if (factor.damping > kMostDamping)
      base::fail(ErrorKind::kInput, "activations",
                 "their Gram is not positive definite with {} times its mean diagonal added; "
                 "expected a sum of x xᵀ",
                 kMostDamping);
  }

  factor.pivots = std::move(*pivots);
  factor.diagonal.resize(width);
  for (std::size_t i = 0; i < width; ++i) {
    const auto column = static_cast<std::size_t>(factor.order[i]);
    factor.diagonal[column] = static_cast<float>(to_hessian * (diagonal[column] + factor.added[i]));
    factor.pivots[i] *= to_hessian;
    factor.added[i] *= to_hessian;
  }
  return factor;
}

std::vector<std::int32_t> inverse_of(std::span<const std::int32_t> order) {
  std::vector<std::int32_t> inverse(order.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    inverse[static_cast<std::size_t>(order[i])] = static_cast<std::int32_t>(i);
  return inverse;
}

}  // namespace whit::quant
