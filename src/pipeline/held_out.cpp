#include "pipeline/held_out.h"

#include <algorithm>
#include <array>
#include <limits>

#include "quant/held_out.h"

namespace whit::pipeline {

namespace {

// Below this a half is noise and the recipe's own choice stands.
constexpr std::int64_t kLeastTokens = 128;
// Multiples of the recipe's damping, its own first: a tie keeps it.
constexpr std::array kDampings{1.0, 0.3, 3.0};
// Multiples of how far an expert leans as a rule.
constexpr std::array kLeans{1.0, 0.0, 4.0};
constexpr std::array kTaughtLeans{1.0, 0.0, 0.25};

}  // namespace

bool HeldOutChoice::possible() const {
  return halves_.size() == 2 && std::all_of(halves_.begin(), halves_.end(), [](const Sums& half) {
           return half.gram.tokens() >= kLeastTokens;
         });
}

HeldOutChoice::HeldOutChoice(compute::Backend& backend, const Recipe& recipe,
                             const Observation& observation, const Observation* layer,
                             const Lean& lean)
    : backend_(backend), recipe_(recipe), halves_(observation.halves), lean_(lean) {
  // The half that judges has no part in what is leant on, where that has halves too.
  if (layer != nullptr) layer_ = layer->halves.empty() ? &layer->all : &layer->halves.front();
}

const Sums& HeldOutChoice::fitted(const Lean& lean, std::optional<Sums>& place) const {
  if (layer_ == nullptr || !lean.half().any()) return halves_[0];
  return place.emplace(lean_on(backend_, halves_[0], *layer_, lean.half()));
}

quant::Factor HeldOutChoice::factor(const stats::Gram& gram, double damping) const {
  return quant::factor_gram(backend_, gram, {recipe_.order, damping});
}

double HeldOutChoice::judge(const std::vector<Linear>& linears, double damping, const Lean& lean) {
  std::optional<Sums> place;
  const stats::Gram& gram = fitted(lean, place).gram;
  const quant::Factor fitted_factor = factor(gram, damping);
  double sum = 0;
  for (const Linear& linear : linears)
    sum += quant::held_out_error(backend_, linear.weight->matrix(), gram, fitted_factor,
                                 halves_[1].gram, linear.grid, recipe_.block_size);
  return sum;
}

void HeldOutChoice::choose(const std::vector<Linear>& linears) {
  if (linears.empty()) return;
  const Lean usual = lean_;
  double least = std::numeric_limits<double>::infinity();
  for (const double multiple : kLeans) {
    if (usual.gram == 0) break;
    const Lean lean{static_cast<std::int64_t>(multiple * static_cast<double>(usual.gram)),
                    usual.taught};
    const double error = judge(linears, recipe_.rel_damp, lean);
    if (error < least) {
      least = error;
      lean_.gram = lean.gram;
    }
  }
  least = std::numeric_limits<double>::infinity();
  for (const double multiple : kDampings) {
    const double error = judge(linears, multiple * recipe_.rel_damp, lean_);
    if (error < least) {
      least = error;
      damping_ = multiple * recipe_.rel_damp;
    }
  }
  choose_taught(linears);
}

void HeldOutChoice::choose_taught(const std::vector<Linear>& linears) {
  const Lean usual = lean_;
  const quant::TeacherPull other = halves_[1].pull(1);
  if (usual.taught == 0 || layer_ == nullptr || other.input == nullptr) return;
  double most = 0;
  for (const double multiple : kTaughtLeans) {
    const Lean lean{usual.gram,
                    static_cast<std::int64_t>(multiple * static_cast<double>(usual.taught))};
    std::optional<Sums> place;
    const Sums& half = fitted(lean, place);
    const quant::TeacherPull fit = half.pull(1);
    if (fit.input == nullptr) continue;
    const quant::Factor fitted_factor = factor(half.taught(), damping_);
    double gain = 0;
    for (const Linear& linear : linears)
      gain += quant::held_out_pull(backend_, linear.weight->matrix(), fitted_factor, fit,
                                   halves_[1].taught(), other)
                  .gain();
    if (gain > most) {
      most = gain;
      lean_.taught = lean.taught;
    }
  }
}

double HeldOutChoice::share(tensor::ConstMatrixView w) {
  const double most = recipe_.refinement.teacher_share;
  const quant::TeacherPull other = halves_[1].pull(1);
  const Sums& half = half_ ? *half_ : fitted(lean_, half_);
  const quant::TeacherPull fit = half.pull(1);
  if (fit.input == nullptr || other.input == nullptr) return most;
  if (!half_factor_) half_factor_.emplace(factor(half.taught(), damping_));
  return std::min(
      most,
      quant::held_out_pull(backend_, w, *half_factor_, fit, halves_[1].taught(), other).share());
}

}  // namespace whit::pipeline
