#pragma once

#include <optional>
#include <span>
#include <vector>

#include "pipeline/pieces.h"
#include "pipeline/plan.h"
#include "pipeline/ranks.h"
#include "pipeline/teacher.h"
#include "quant/teacher_target.h"
#include "stats/cross_gram.h"

namespace whit::pipeline {

// Sums over some tokens of one hidden state.
struct Sums {
  stats::Gram gram;
  std::optional<stats::CrossGram> input, residual;  // against the teacher's
  std::optional<stats::Gram> taught_gram;           // where the teacher sees a part of the tokens

  // Of the tokens that the teacher saw too. A pull is in proportion to this Gram and to no other.
  const stats::Gram& taught() const { return taught_gram ? *taught_gram : gram; }
  // Nothing where the teacher saw none of the tokens.
  quant::TeacherPull pull(double share) const;
  void merge(const Sums& other);
  // into += the `sums` of rank `root`, on every rank; all have sums of one kind.
  static void merge_from(int root, const Ranks& ranks, compute::Backend& backend, const Sums& sums,
                         Sums& into);
};

// What the visit of a stage's hidden state leaves behind.
struct Observation {
  Sums all;
  std::vector<Sums> halves;                    // two, where choices are made on held-out tokens
  std::optional<quant::Factor> factor;         // of the Gram in use, once there is one
  std::optional<quant::Factor> taught_factor;  // of all.taught(), where that is another
};

// Folds the hidden states of a stage into sums, the teacher's beside them where there is one.
class Observer {
 public:
  Observer(const Plan& plan, compute::Backend& backend, model::ActivationStore& store,
           Teacher* teacher, Ranks ranks)
      : plan_(plan), backend_(backend), store_(store), teacher_(teacher), ranks_(ranks) {}

  // Of all tokens, on every rank alike; of an expert's, on the rank at work.
  Observation observe(const model::Stage& stage, Pieces& pieces);

 private:
  using Parts = std::vector<Sums>;  // one, or two halves

  Parts make_parts(const model::Stage& stage, bool held_out);
  // The pieces of one strand, or all of an expert.
  void fold_strand(const model::Stage& stage, Pieces& pieces, std::optional<std::int64_t> strand,
                   std::span<const float> weights, Parts& parts);
  void sum_strands(const model::Stage& stage, Pieces& pieces, std::span<const float> weights,
                   Parts& totals);
  Sums make_sums(const model::Stage& stage);
  // Rows [row0, row0 + x.rows) of a piece.
  void fold(const model::Stage& stage, std::size_t piece, std::int64_t row0, tensor::MatrixView x,
            std::span<const float> weights, Sums& sums);
  // Rows of `difference` times their weights.
  tensor::Tensor weighed(tensor::Tensor difference, std::span<const float> weights);

  const Plan& plan_;
  compute::Backend& backend_;
  model::ActivationStore& store_;
  Teacher* teacher_;
  Ranks ranks_;
};

}  // namespace whit::pipeline
