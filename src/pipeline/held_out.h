#pragma once

#include <optional>
#include <vector>

#include "model/weights.h"
#include "pipeline/observer.h"

namespace whit::pipeline {

// Chooses what a stage's tokens can tell: how much damping, how far a cold expert leans on its
// layer, how much of the teacher's pull is signal. Each choice is fitted on one half of the tokens
// and judged on the other.
class HeldOutChoice {
 public:
  struct Linear {
    model::WeightHandle weight;
    compute::GridArgs grid;
  };

  // layer: the Gram that a cold expert may lean on, or null.
  HeldOutChoice(compute::Backend& backend, const Recipe& recipe, const Observation& observation,
                const stats::Gram* layer)
      : backend_(backend), recipe_(recipe), halves_(observation.halves), layer_(layer) {}

  // Whether both halves have seen enough to say anything.
  bool possible() const;
  // Sets damping and shrinkage to what serves `linears` best.
  void choose(const std::vector<Linear>& linears);
  double damping() const { return damping_; }
  // Tokens' worth of the layer's Gram beside all of the stage's own.
  std::int64_t layer_tokens() const { return layer_tokens_; }
  // Of the teacher's pull on one weight, at most the recipe's.
  double share(tensor::ConstMatrixView w);

 private:
  double judge(const std::vector<Linear>& linears, double damping, std::int64_t layer_tokens);
  quant::Factor factor(const stats::Gram& gram, double damping) const;
  const stats::Gram& fitted(std::int64_t layer_tokens, std::optional<stats::Gram>& shrunk) const;

  compute::Backend& backend_;
  const Recipe& recipe_;
  const std::vector<Sums>& halves_;
  const stats::Gram* layer_;
  double damping_ = recipe_.rel_damp;
  std::int64_t layer_tokens_ = 0;
  std::optional<quant::Factor> half_factor_;
};

}  // namespace whit::pipeline
