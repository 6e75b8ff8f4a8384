#pragma once

#include "model/forward.h"
#include "pipeline/plan.h"
#include "pipeline/step_writer.h"
#include "pipeline/teacher.h"

namespace whit::pipeline {

struct HeadRefitArgs {
  const Plan& plan;
  compute::Backend& backend;
  model::WeightSource& source;
  model::ActivationStore& store;  // the quantized model's last hidden states
  Teacher& teacher;
};

// Moves what stands after the last layer to where the quantized model's hidden states give the
// original's logits best (least squares, damped as the weights are): the head, or, where the head
// is the embedding, the final norm.
void refit_head(const HeadRefitArgs& args, const model::Sequences& sequences, StepWriter& writer);

}  // namespace whit::pipeline
