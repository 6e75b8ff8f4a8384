#include "model/mlp.h"

#include <utility>
#include <vector>

#include "base/error.h"
#include "model/blocks.h"

namespace whit::model {

using tensor::MatrixView;

void mid_of(compute::Backend& backend, const MlpSpec& mlp, std::span<const MatrixView> in,
            MatrixView mid) {
  base::check(in.size() == mlp.in.size(), "mid_of: one output for every input linear");
  compute::Neural& neural = backend.neural();
  if (!mlp.gated) return neural.activate(mlp.activation, in[0], {}, mid);
  if (in.size() == 2) return neural.activate(mlp.activation, in[0], in[1], mid);
  neural.activate(mlp.activation, in[0].sub(0, mid.rows, 0, mid.cols),
                  in[0].sub(0, mid.rows, mid.cols, mid.cols), mid);
}

std::vector<const LinearSpec*> pointers_to(const std::vector<LinearSpec>& linears) {
  std::vector<const LinearSpec*> pointers;
  for (const LinearSpec& linear : linears) pointers.push_back(&linear);
  return pointers;
}

namespace {

// Mids are computed whenever the down linear asks for them.
void run_without_mids(LayerRun& run, const MlpSpec& spec) {
  compute::Backend& backend = run.context.backend;
  const Produce input = normed_hidden(run, run.inside(run.layer.mlp_norm));
  Stage in = tile_stage(run, spec.in.front().reads, run.hidden(), pointers_to(spec.in));
  in.produce = input;
  const std::vector<WeightHandle> weights = weights_of(run, std::move(in));

  Stage out = tile_stage(run, spec.down.reads, spec.down.in_features, {&spec.down});
  out.produce = [&](std::size_t piece, MatrixView mid) {
    tensor::Tensor x = backend.memory().allocate({mid.rows, run.hidden()}, tensor::Dtype::kF32);
    input(piece, x.matrix());
    std::vector<tensor::Tensor> outputs;
    std::vector<MatrixView> views;
    for (const WeightHandle& weight : weights) {
      outputs.push_back(
          backend.memory().allocate({mid.rows, weight->shape()[0]}, tensor::Dtype::kF32));
      views.push_back(outputs.back().matrix());
      backend.linalg().linear(x.matrix(), weight->matrix(), nullptr, views.back());
    }
    mid_of(backend, spec, views, mid);
  };
  out.consume = added_to_hidden(run, run.layer.mlp_out_norm);
  run.context.runner.run({&out, 1});
}

}  // namespace

void run_mlp(LayerRun& run, const MlpSpec& spec) {
  ForwardContext& context = run.context;
  if (can_recompute(run.layer, spec) && may_recompute(context)) return run_without_mids(run, spec);
  context.store.create(Slot::kMid, run.tokens(), spec.down.in_features);

  Stage in = tile_stage(run, spec.in.front().reads, run.hidden(), pointers_to(spec.in));
  in.produce = run.layer.parallel ? copied_slot(run, Slot::kMlpIn)
                                  : normed_hidden(run, run.inside(run.layer.mlp_norm));
  in.consume = activated_into(run, spec, Slot::kMid);
  context.runner.run({&in, 1});

  Stage out = tile_stage(run, spec.down.reads, spec.down.in_features, {&spec.down});
  out.produce = copied_slot(run, Slot::kMid);
  out.consume = added_to_hidden(run, run.layer.mlp_out_norm);
  context.runner.run({&out, 1});
  context.store.drop(Slot::kMid);
}

}  // namespace whit::model
