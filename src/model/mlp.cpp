#include "model/blocks.h"

namespace whit::model {

void run_mlp(LayerRun& run, const MlpSpec& spec) {
  ForwardContext& context = run.context;
  context.store.create(Slot::kMid, run.tokens(), spec.down.in_features);

  Stage in = tile_stage(run, spec.gate.reads, run.hidden(), {&spec.gate, &spec.up});
  in.produce = normed_hidden(run, run.layer.post_attention_norm);
  in.consume = gated_into(run, Slot::kMid);
  context.runner.run({&in, 1});

  Stage out = tile_stage(run, spec.down.reads, spec.down.in_features, {&spec.down});
  out.produce = copied_slot(run, Slot::kMid);
  out.consume = added_to_hidden(run);
  context.runner.run({&out, 1});
  context.store.drop(Slot::kMid);
}

}  // namespace whit::model
