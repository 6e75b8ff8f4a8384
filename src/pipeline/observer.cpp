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

namespace {

// A matrix of the root's and its token count on every rank; the root's own is not copied.
template <typename Sum>
void merge_one(int root, const Ranks& ranks, compute::Backend& backend, const Sum& own, Sum& into) {
  if (!ranks.several()) return into.merge(own);
  const tensor::ConstMatrixView view = own.sum();
  comm::Communicator& communicator = ranks.communicator();
  std::int64_t tokens = own.tokens();
  communicator.broadcast(root, std::as_writable_bytes(std::span(&tokens, 1)));
  Tensor host({view.rows, view.cols}, Dtype::kF32);
  if (ranks.rank() == root)
    host = backend.memory().download({view.data, Dtype::kF32, {view.rows, view.cols}, view.device});
  communicator.broadcast(root, {host.data(), static_cast<std::size_t>(host.bytes())});
  if (ranks.rank() == root) return into.merge(own);
  into.merge(Sum(backend, backend.memory().upload(host.view()), tokens));
}

}  // namespace

void Sums::merge_from(int root, const Ranks& ranks, compute::Backend& backend, const Sums& sums,
                      Sums& into) {
  merge_one(root, ranks, backend, sums.gram, into.gram);
  if (into.input) merge_one(root, ranks, backend, *sums.input, *into.input);
  if (into.residual) merge_one(root, ranks, backend, *sums.residual, *into.residual);
  if (into.taught_gram) merge_one(root, ranks, backend, *sums.taught_gram, *into.taught_gram);
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

Observer::Parts Observer::make_parts(const Stage& stage, bool held_out) {
  Parts parts;
  for (int half = 0; half < (held_out ? 2 : 1); ++half) parts.push_back(make_sums(stage));
  return parts;
}

Observation Observer::observe(const Stage& stage, Pieces& pieces) {
  const Refinement& refinement = plan_.bound.recipe.refinement;
  const bool held_out = refinement.held_out && !stage.linears.empty();
  const std::vector<float> weights = squared_route_weights(stage, refinement.route_weights);
  Parts totals = make_parts(stage, held_out);
  if (stage.strands == 0)
    fold_strand(stage, pieces, std::nullopt, weights, totals);
  else
    sum_strands(stage, pieces, weights, totals);
  Observation observation{held_out ? make_sums(stage) : std::move(totals.front()), {}, {}, {}};
  if (held_out) observation.halves = std::move(totals);
  for (const Sums& half : observation.halves) observation.all.merge(half);
  observation.all.gram.freeze();
  return observation;
}

// As many strands at once as there are ranks, each rank its own; then they are added in order.
void Observer::sum_strands(const Stage& stage, Pieces& pieces, std::span<const float> weights,
                           Parts& totals) {
  for (std::int64_t first = 0; first < stage.strands; first += ranks_.count()) {
    Parts own = make_parts(stage, totals.size() == 2);
    fold_strand(stage, pieces, first + ranks_.rank(), weights, own);
    const std::int64_t last = std::min<std::int64_t>(first + ranks_.count(), stage.strands);
    for (std::int64_t strand = first; strand < last; ++strand)
      for (std::size_t i = 0; i < totals.size(); ++i)
        Sums::merge_from(static_cast<int>(strand - first), ranks_, backend_, own[i], totals[i]);
  }
}

void Observer::fold_strand(const Stage& stage, Pieces& pieces, std::optional<std::int64_t> strand,
                           std::span<const float> weights, Parts& parts) {
  std::int64_t first_row = 0;
  for (std::size_t piece = 0; piece < stage.piece_rows.size(); ++piece) {
    const std::int64_t rows = stage.piece_rows[piece];
    const std::int64_t row0 = first_row;
    first_row += rows;
    if (strand && stage.piece_strands[piece] != *strand) continue;
    // A piece holds several sequences as a rule: its halves are different texts.
    const std::int64_t middle = parts.size() == 2 ? rows / 2 : rows;
    pieces.with(piece, [&](MatrixView x) {
      for (const auto& [begin, end] : {std::pair{std::int64_t{0}, middle}, {middle, rows}}) {
        if (begin == end) continue;
        const auto of_rows = weights.empty()
                                 ? std::span<const float>{}
                                 : weights.subspan(static_cast<std::size_t>(row0 + begin),
                                                   static_cast<std::size_t>(end - begin));
        fold(stage, piece, begin, x.rows_of(begin, end - begin), of_rows,
             parts[begin == 0 ? 0 : parts.size() - 1]);
      }
    });
  }
}

void Observer::fold(const Stage& stage, std::size_t piece, std::int64_t row0, MatrixView x,
                    std::span<const float> weights, Sums& sums) {
  sums.gram.observe(x, weights);
  if (teacher_ == nullptr) return;
  const std::int64_t first = row_of_piece(stage, piece) + row0;
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
