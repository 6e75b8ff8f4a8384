#pragma once

#include <optional>
#include <vector>

#include "model/weights.h"
#include "pipeline/lean.h"
#include "pipeline/observer.h"

namespace whit::pipeline {

// Chooses what a stage's tokens can tell: how much damping, how far an expert leans on its layer,
// how much of the teacher's pull is signal. Each choice is fitted on one half of the tokens
// and judged on the other.
class HeldOutChoice {
 public:
  struct Linear {
    model::WeightHandle weight;
    compute::GridArgs grid;
  };

  // layer: what an expert may lean on, or null; lean: how far it does unless another is better.
  HeldOutChoice(compute::Backend& backend, const Recipe& recipe, const Observation& observation,
                const Observation* layer, const Lean& lean);

  // Whether both halves have seen enough to say anything.
  bool possible() const;
  // Sets damping and lean to what serves `linears` best.
  void choose(const std::vector<Linear>& linears);
  double damping() const { return damping_; }
  // Beside all of the stage's own tokens.
  const Lean& lean() const { return lean_; }
  // Of the teacher's pull on one weight, at most the recipe's.
  double share(tensor::ConstMatrixView w);

 private:
  double judge(const std::vector<Linear>& linears, double damping, const Lean& lean);
  // How far what is aimed at leans, once the Gram's part and the damping stand.
  void choose_taught(const std::vector<Linear>& linears);
  quant::Factor factor(const stats::Gram& gram, double damping) const;
  // The first half, leaning half as far; in `place` where it leans at all.
  const Sums& fitted(const Lean& lean, std::optional<Sums>& place) const;

  compute::Backend& backend_;
  const Recipe& recipe_;
  const std::vector<Sums>& halves_;
  const Sums* layer_ = nullptr;
  double damping_ = recipe_.rel_damp;
  Lean lean_;
  std::optional<Sums> half_;
  std::optional<quant::Factor> half_factor_;
};

}  // namespace whit::pipeline
