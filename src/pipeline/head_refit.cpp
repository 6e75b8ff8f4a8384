#include "pipeline/head_refit.h"

#include <algorithm>

#include "model/blocks.h"
#include "quant/gptq.h"
#include "quant/norm_correction.h"
#include "quant/teacher_target.h"

namespace whit::pipeline {

using tensor::Dtype;
using tensor::Tensor;

namespace {

constexpr std::int64_t kHeadRows = 8192;  // rows of the head at once

struct Seen {
  stats::Gram gram;
  stats::CrossGram cross;
};

Seen observe(const HeadRefitArgs& args, const model::Sequences& sequences) {
  const std::int64_t hidden = args.plan.spec.hidden;
  Seen seen{stats::Gram(args.backend, hidden), stats::CrossGram(args.backend, hidden, hidden)};
  const model::Norm norm(args.backend, args.source, *args.plan.spec.final_norm);
  for (const model::Tile& tile : model::tiles_of(sequences)) {
    Tensor own = args.backend.memory().allocate({tile.rows, hidden}, Dtype::kF32);
    Tensor original = args.backend.memory().allocate({tile.rows, hidden}, Dtype::kF32);
    Tensor raw = args.backend.memory().allocate({tile.rows, hidden}, Dtype::kF32);
    {
      const auto lease = args.store.lease(model::Slot::kHidden, tile.first_row, tile.rows,
                                          model::ActivationStore::Access::kRead);
      norm.apply(lease->view(), own.matrix());
    }
    args.teacher.stream(tile.first_row, raw.matrix());
    norm.apply(raw.matrix(), original.matrix());
    args.backend.linalg().scale_add(1.0F, original.matrix(), -1.0F, own.matrix());
    seen.gram.observe(own.matrix());
    seen.cross.observe(original.matrix(), own.matrix());
  }
  seen.gram.freeze();
  return seen;
}

void refit_matrix(const HeadRefitArgs& args, const Seen& seen, StepWriter& writer) {
  const model::ModelSpec& spec = args.plan.spec;
  const Recipe& recipe = args.plan.bound.recipe;
  const quant::Factor factor =
      quant::factor_gram(args.backend, seen.gram, {recipe.order, recipe.rel_damp});
  const quant::TeacherPull pull{&seen.cross, recipe.refinement.teacher_share, nullptr, 0};
  const auto head = args.source.linear(spec.head);
  Tensor moved = args.backend.memory().allocate(head->shape(), Dtype::kF32);
  const std::int64_t rows = spec.head.out_features;
  for (std::int64_t n = 0; n < rows; n += kHeadRows) {
    const std::int64_t some = std::min(kHeadRows, rows - n);
    const Tensor part =
        quant::teacher_target(args.backend, head->matrix().rows_of(n, some), factor, pull);
    args.backend.memory().copy(part.matrix(), moved.matrix().rows_of(n, some));
  }
  writer.refitted(spec.head.weight(), moved);
}

void refit_norm(const HeadRefitArgs& args, const Seen& seen, StepWriter& writer) {
  const model::ModelSpec& spec = args.plan.spec;
  const Recipe& recipe = args.plan.bound.recipe;
  const auto head = args.source.linear(spec.head);
  const auto norm = args.source.vector(spec.final_norm->weight);
  Tensor weight = args.backend.memory().download(norm->view());
  const std::vector<double> factors =
      quant::norm_correction(args.backend, head->matrix(), seen.gram, seen.cross,
                             {recipe.rel_damp, recipe.refinement.teacher_share});
  // What is stored lacks the offset.
  const float offset = spec.final_norm->weight.offset;
  for (std::size_t k = 0; k < factors.size(); ++k)
    weight.as<float>()[k] = static_cast<float>(weight.as<float>()[k] * factors[k]) - offset;
  writer.refitted(spec.final_norm->weight.name, args.backend.memory().upload(weight.view()));
}

}  // namespace

void refit_head(const HeadRefitArgs& args, const model::Sequences& sequences, StepWriter& writer) {
  const model::ModelSpec& spec = args.plan.spec;
  const bool norm = spec.final_norm && args.plan.refits(spec.final_norm->weight.name);
  if (!norm && !args.plan.refits(spec.head.weight())) return;
  const Seen seen = observe(args, sequences);
  if (norm)
    refit_norm(args, seen, writer);
  else
    refit_matrix(args, seen, writer);
}

}  // namespace whit::pipeline
