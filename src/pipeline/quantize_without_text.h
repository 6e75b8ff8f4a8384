#pragma once

#include <vector>

#include "base/cancel.h"
#include "base/event.h"
#include "model/weights.h"
#include "pipeline/plan.h"
#include "pipeline/run.h"
#include "pipeline/step_writer.h"

namespace whit::pipeline {

struct WithoutText {
  const Plan& plan;
  compute::Backend& backend;
  model::WeightSource& source;
  StepWriter& writer;
  Ranks ranks;
  base::EventSink& events;
  const base::CancelToken& cancel;
};

// One layer where no text is read: plain rounding, each weight on its own, or vector codes under
// Hessians from files. Linears go round the ranks; what became of this one's.
std::vector<WeightRecord> quantize_without_text(const WithoutText& job,
                                                const model::LayerSpec& layer);

}  // namespace whit::pipeline
