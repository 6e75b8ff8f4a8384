#pragma once

#include <memory>
#include <utility>

#include "checkpoint/checkpoint.h"
#include "model/weights.h"
#include "pipeline/forwarding_weights.h"
#include "pipeline/plan.h"

namespace whit::pipeline {

// Rounds F32 values to the nearest that `dtype` (F32, BF16, F16) holds.
void round_to(tensor::Tensor& values, tensor::Dtype dtype);

// The weights that the finished checkpoint will hold, as far as they are not quantized: the
// source's, with those that are written in a narrower dtype rounded to it. What the next layer sees
// is then what a server computes.
class OutputWeights final : public ForwardingWeights {
 public:
  OutputWeights(const Plan& plan, model::WeightSource& source, compute::Backend& backend);

  model::WeightHandle linear(const model::LinearSpec& spec) override;
  model::WeightHandle table(const model::LinearSpec& spec) override;
  // From here on the token embeddings are these, as they are written.
  void replace_table(model::WeightHandle table) { table_ = std::move(table); }

 private:
  const Plan& plan_;
  compute::Backend& backend_;
  model::WeightHandle table_;
};

// The same, with quantized modules decoded from the shards of finished steps in `folder`.
std::unique_ptr<model::WeightSource> make_resumed_weights(const Plan& plan,
                                                          model::WeightSource& output_weights,
                                                          const checkpoint::Checkpoint& shards,
                                                          compute::Backend& backend);

}  // namespace whit::pipeline
