#include "pipeline/observer.h"

#include <algorithm>
#include <numeric>

namespace whit::pipeline {

using model::Stage;
using tensor::Dtype;
using tensor::MatrixView;
using tensor::Tensor;

namespace {

// What each row counts in an expert's sums: its output is scaled by the router's weight, so its
// squared error by the weight squared. Their mean is 1. Empty: all rows alike.
std::vector<float> squared_route_weights(const Stage& stage, bool wanted) {
  if (!wanted || stage.row_weights.empty()) return {};
  std::vector<float> weights(stage.row_weights);
  double sum = 0;
  for (float& weight : weights) {
    weight *= weight;
    sum += static_cast<double>(weight);
  }
  if (!(sum > 0)) return {};
  const auto factor = static_cast<float>(static_cast<double>(weights.size()) / sum);
  for (float& weight : weights) weight *= factor;
  return weights;
}

}  // namespace

quant::TeacherPull Sums::pull(double share) const {
  if (!input || input->tokens() == 0) return {};
  // Few tokens in many dimensions are mostly noise: half of the pull is left at one a dimension.
  const auto seen = static_cast<double>(input->tokens());
  const double trusted = share * seen / (seen + static_cast<double>(gram.width()));
  return {&*input, trusted, residual ? &*residual : nullptr, trusted};
}

void Sums::merge(const Sums& other) {
  gram.merge(other.gram);
  if (input) input->merge(*other.input);
  if (residual) residual->merge(*other.residual);
  if (taught_gram) taught_gram->merge(*other.taught_gram);
}

Sums Observer::make_sums(const Stage& stage) {
  Sums sums{stats::Gram(backend_, stage.width), {}, {}, {}};
  if (teacher_ == nullptr) return sums;
  const Refinement& refinement = plan_.bound.recipe.refinement;
  sums.input.emplace(backend_, stage.width, stage.width);
  if (refinement.residual && teacher_->has_residual(stage))
    sums.residual.emplace(backend_, plan_.spec.hidden, stage.width);
  if (refinement.teacher_part < 1) sums.taught_gram.emplace(backend_, stage.width);
  return sums;
}

Observation Observer::observe(const Stage& stage, Pieces& pieces) {
  const Refinement& refinement = plan_.bound.recipe.refinement;
  Observation observation{make_sums(stage), {}, {}, {}};
  const bool held_out = refinement.held_out && !stage.linears.empty();
  for (int half = 0; held_out && half < 2; ++half) observation.halves.push_back(make_sums(stage));
  const std::vector<float> weights = squared_route_weights(stage, refinement.route_weights);
  std::int64_t first_row = 0;
  for (std::size_t piece = 0; piece < stage.piece_rows.size(); ++piece) {
    const std::int64_t rows = stage.piece_rows[piece];
    // A piece holds several sequences as a rule: its halves are different texts.
    const std::int64_t middle = held_out ? rows / 2 : rows;
    pieces.with(piece, [&](MatrixView x) {
      for (const auto& [begin, end] : {std::pair{std::int64_t{0}, middle}, {middle, rows}}) {
        if (begin == end) continue;
        Sums& sums = held_out ? observation.halves[begin == 0 ? 0 : 1] : observation.all;
        const auto of_rows = weights.empty() ? std::span<const float>{}
                                             : std::span(weights).subspan(
                                                   static_cast<std::size_t>(first_row + begin),
                                                   static_cast<std::size_t>(end - begin));
        fold(stage, piece, begin, x.rows_of(begin, end - begin), of_rows, sums);
      }
    });
    first_row += rows;
  }
  for (const Sums& half : observation.halves) observation.all.merge(half);
  observation.all.gram.freeze();
  return observation;
}

void Observer::fold(const Stage& stage, std::size_t piece, std::int64_t row0, MatrixView x,
                    std::span<const float> weights, Sums& sums) {
  sums.gram.observe(x, weights);
  if (teacher_ == nullptr) return;
  const std::int64_t first = first_row_of(stage, piece) + row0;
  const std::int64_t rows = teacher_->seen_rows(stage, first, x.rows);
  if (rows == 0) return;
  const MatrixView own = x.rows_of(0, rows);
  if (!weights.empty()) weights = weights.first(static_cast<std::size_t>(rows));
  if (sums.taught_gram) sums.taught_gram->observe(own, weights);
  Tensor difference = backend_.memory().allocate({rows, stage.width}, Dtype::kF32);
  teacher_->input(stage, first, difference.matrix());
  backend_.linalg().scale_add(1.0F, difference.matrix(), -1.0F, own);
  sums.input->observe(weighed(std::move(difference), weights).matrix(), own);
  if (!sums.residual) return;
  Tensor residual = backend_.memory().allocate({rows, plan_.spec.hidden}, Dtype::kF32);
  teacher_->residual(stage, first, residual.matrix());
  {
    const auto lease =
        store_.lease(model::Slot::kHidden, first, rows, model::ActivationStore::Access::kRead);
    backend_.linalg().scale_add(1.0F, residual.matrix(), -1.0F, lease->view());
  }
  sums.residual->observe(weighed(std::move(residual), weights).matrix(), own);
}

Tensor Observer::weighed(Tensor difference, std::span<const float> weights) {
  if (weights.empty()) return difference;
  Tensor result = backend_.memory().allocate(difference.shape(), Dtype::kF32);
  std::vector<std::int32_t> each(weights.size());
  std::iota(each.begin(), each.end(), 0);
  backend_.neural().scatter_add_rows(difference.matrix(), each, weights, result.matrix());
  return result;
}

}  // namespace whit::pipeline
