#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/event.h"
#include "model/stage.h"
#include "model/weights.h"
#include "pipeline/apply.h"
#include "pipeline/fp8_quantizer.h"
#include "pipeline/run.h"
#include "pipeline/step_writer.h"

namespace whit::pipeline {

// Finds the largest magnitude of each hidden state, quantizes the linears that read it with a
// static scale from it, and applies them as they will be served, but with unrounded activations.
// Experts' first linears are scaled for what all of the layer's tokens look like: servers keep one
// scale for them.
class Fp8Runner final : public model::StageRunner {
 public:
  struct Services {
    const Plan& plan;
    const model::LayerSpec& layer;
    compute::Backend& backend;
    model::WeightSource& output;  // what stays unquantized, as it will be written
    Fp8Quantizer& quantizer;
    StepWriter& writer;
    Ranks ranks;
    base::EventSink& events;
    const base::CancelToken& cancel;
  };
  explicit Fp8Runner(const Services& services) : s_(services) {}

  void run(std::span<model::Stage> stages) override;
  std::int64_t expert_block(const model::LayerSpec& layer) override;
  // The likeliest tokens of an expert that has few, so that its scale knows more than them.
  std::vector<std::int32_t> extra_rows(const model::LayerSpec& layer, int expert,
                                       std::span<const std::int32_t> routed,
                                       std::span<const float> scores) override;
  bool wants_scores() const override { return true; }

  std::vector<WeightRecord> take_records() { return std::move(records_); }
  std::vector<std::string> take_warnings() { return std::move(warnings_); }

 private:
  void run_one(model::Stage& stage);
  // Each expert's largest mid; where no token reached one, the largest of those before it. By
  // experts, over all ranks.
  void see_mids(std::span<model::Stage> stages);
  float maximum_of(const model::Stage& stage, Pieces& pieces);
  std::optional<float> input_scale_of(const model::Stage& stage, Pieces& pieces);
  model::WeightHandle quantize_one(const model::Stage& stage, const model::LinearSpec& linear,
                                   std::optional<float> input_scale);
  void warn(std::string text);

  Services s_;
  float mlp_input_ = 0;   // the largest that the layer's MLP reads
  float expert_mid_ = 0;  // the largest mid of the layer's experts so far
  struct Mid {
    int expert;
    float amax;  // 0: not reached
    float used;
  };
  std::map<int, Mid> mids_;  // of the block of experts at work
  std::vector<WeightRecord> records_;
  std::vector<std::string> warnings_;
};

}  // namespace whit::pipeline
