#pragma once

#include <map>
#include <string>
#include <utility>

#include "checkpoint/checkpoint.h"
#include "formats/packed_reader.h"
#include "model/weights.h"
#include "pipeline/measured_maxima.h"
#include "pipeline/plan.h"
#include "pipeline/run.h"
#include "pipeline/step_writer.h"
#include "quant/fp8.h"

namespace whit::pipeline {

// Weights of the plan as FP8, one at a time. Weights by tensor that loaders fuse (q, k and v; gate
// and up; q_a and kv_a: they read one hidden state and share a parent) have one scale, that of the
// largest: a loader that takes the largest scale of the parts then finds nothing to round again.
// FP8 blocks that stay blocks of the same extents keep their codes; for Gaudi2 they are halved.
class Fp8Quantizer {
 public:
  Fp8Quantizer(const Plan& plan, const checkpoint::Checkpoint& source, model::WeightSource& weights,
               compute::Backend& backend);

  // linear: of `layer`. Errors: those of quant::fp8, subject = the weight.
  scheme::ScaledFloat8 quantize(const model::LayerSpec& layer, const model::LinearSpec& linear);
  // Of a hidden state whose largest magnitude is amax > 0.
  float input_scale(float amax) const;
  // Every linear of a layer whose hidden states need not be seen, and the scales of its cache.
  // kept: the layer is only copied. Of several ranks each has its turn, and records of that.
  std::vector<WeightRecord> write_layer(const model::LayerSpec& layer, bool kept,
                                        const Ranks& ranks, StepWriter& writer,
                                        const base::CancelToken& cancel);
  // Errors: kInput (subject: the attention) where a maximum is 0.
  void write_cache(const model::LayerSpec& layer, const MeasuredMaxima::Cache& cache,
                   StepWriter& writer) const;
  // What the recipe's measurements warn of.
  std::vector<std::string> warnings() const;

 private:
  std::optional<float> measured_scale(const model::LayerSpec& layer,
                                      const model::LinearSpec& linear) const;
  float stored_scale(const model::LinearSpec& linear) const;
  std::optional<float> shared_maximum(const model::LayerSpec& layer,
                                      const model::LinearSpec& linear);

  const Plan& plan_;
  model::WeightSource& weights_;
  compute::Backend& backend_;
  formats::PackedReader source_;
  quant::Fp8WeightArgs args_;
  std::optional<MeasuredMaxima> measured_;
  // Of the layer at work, by the hidden state that is read and the parent's name.
  std::map<std::pair<stats::TapId, std::string>, float> maxima_;
  int layer_ = -1;
};

}  // namespace whit::pipeline
