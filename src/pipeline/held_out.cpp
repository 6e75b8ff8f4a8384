#include "pipeline/held_out.h"

#include <algorithm>
#include <array>
#include <limits>

#include "quant/held_out.h"
#include "quant/shrink.h"

namespace whit::pipeline {

namespace {

// Below this a half is noise and the recipe's own choice stands.
constexpr std::int64_t kLeastTokens = 128;
// Multiples of the recipe's damping, its own first: a tie keeps it.
constexpr std::array kDampings{1.0, 0.3, 3.0};
// Multiples of quant::shrink_count.
constexpr std::array kShrinkage{1.0, 0.0, 0.25, 4.0};

}  // namespace

bool HeldOutChoice::possible() const {
  return halves_.size() == 2 && std::all_of(halves_.begin(), halves_.end(), [](const Sums& half) {
           return half.gram.tokens() >= kLeastTokens;
         });
}

const stats::Gram& HeldOutChoice::fitted(std::int64_t layer_tokens,
                                         std::optional<stats::Gram>& shrunk) const {
  // The half leans half as far.
  if (layer_ == nullptr || layer_tokens / 2 == 0) return halves_[0].gram;
  shrunk.emplace(quant::shrink_gram(backend_, halves_[0].gram, *layer_, layer_tokens / 2));
  return *shrunk;
}

quant::Factor HeldOutChoice::factor(const stats::Gram& gram, double damping) const {
  return quant::factor_gram(backend_, gram, {recipe_.order, damping});
}

double HeldOutChoice::judge(const std::vector<Linear>& linears, double damping,
                            std::int64_t layer_tokens) {
  std::optional<stats::Gram> shrunk;
  const stats::Gram& gram = fitted(layer_tokens, shrunk);
  const quant::Factor fitted_factor = factor(gram, damping);
  double sum = 0;
  for (const Linear& linear : linears)
    sum += quant::held_out_error(backend_, linear.weight->matrix(), gram, fitted_factor,
                                 halves_[1].gram, linear.grid, recipe_.block_size);
  return sum;
}

void HeldOutChoice::choose(const std::vector<Linear>& linears) {
  if (linears.empty()) return;
  const std::int64_t own = halves_[0].gram.tokens() + halves_[1].gram.tokens();
  const std::int64_t usual =
      layer_ == nullptr ? 0 : quant::shrink_count(own, halves_[0].gram.width());
  layer_tokens_ = usual;
  double least = std::numeric_limits<double>::infinity();
  for (const double multiple : kShrinkage) {
    if (usual == 0) break;
    const auto tokens = static_cast<std::int64_t>(multiple * static_cast<double>(usual));
    const double error = judge(linears, recipe_.rel_damp, tokens);
    if (error < least) {
      least = error;
      layer_tokens_ = tokens;
    }
  }
  least = std::numeric_limits<double>::infinity();
  for (const double multiple : kDampings) {
    const double error = judge(linears, multiple * recipe_.rel_damp, layer_tokens_);
    if (error < least) {
      least = error;
      damping_ = multiple * recipe_.rel_damp;
    }
  }
}

double HeldOutChoice::share(tensor::ConstMatrixView w) {
  const double most = recipe_.refinement.teacher_share;
  const quant::TeacherPull fit = halves_[0].pull(1);
  const quant::TeacherPull other = halves_[1].pull(1);
  if (fit.input == nullptr || other.input == nullptr) return most;
  if (!half_factor_) {
    std::optional<stats::Gram> shrunk;
    half_factor_.emplace(factor(fitted(layer_tokens_, shrunk), damping_));
  }
  return std::min(most,
                  quant::held_out_share(backend_, w, *half_factor_, fit, halves_[1].gram, other));
}

}  // namespace whit::pipeline
