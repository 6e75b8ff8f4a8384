#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/event.h"
#include "model/stage.h"
#include "model/weights.h"
#include "pipeline/plan.h"
#include "pipeline/run.h"
#include "pipeline/step_writer.h"
#include "pipeline/teacher.h"
#include "quant/teacher_target.h"
#include "stats/cross_gram.h"

namespace whit::pipeline {

// Observes the hidden state of a stage, freezes its Gram, quantizes the linears that read it, and
// applies them as the server will. Each linear is evaluated once, after it is quantized.
class CalibratingRunner final : public model::StageRunner {
 public:
  struct Services {
    const Plan& plan;
    compute::Backend& backend;
    model::WeightSource& source;  // what the model's author published
    model::WeightSource& output;  // what stays unquantized, as it will be written
    model::ActivationStore& store;
    Teacher* teacher;  // the original model's stream, or null
    StepWriter& writer;
    base::EventSink& events;
    const base::CancelToken& cancel;
  };
  explicit CalibratingRunner(const Services& services) : s_(services) {}

  void run(std::span<model::Stage> stages) override;
  std::int64_t expert_block(const model::LayerSpec& layer) override;
  std::vector<std::int32_t> extra_rows(const model::LayerSpec& layer, int expert,
                                       std::span<const std::int32_t> routed,
                                       std::span<const float> scores) override;
  bool wants_scores() const override { return true; }

  // What became of this layer's weights so far.
  std::vector<WeightRecord> take_records() { return std::move(records_); }
  std::vector<std::string> take_warnings() { return std::move(warnings_); }

 private:
  struct Applied {
    model::WeightHandle weight;
    model::WeightHandle bias;
  };
  // The pieces of one stage: computed once and kept while the plan's memory allows it, else again.
  class Pieces;

  // What the visit of a stage's hidden state leaves behind.
  struct Observed {
    stats::Gram gram;
    std::optional<stats::CrossGram> input, residual;  // against the teacher's
    quant::TeacherPull pull(const Refinement& refinement) const;
  };

  void run_one(model::Stage& stage);
  Observed observe(const model::Stage& stage, Pieces& pieces);
  void observe_teacher(const model::Stage& stage, std::size_t piece, tensor::MatrixView x,
                       Observed& observed);
  // A Gram that leans on the layer's, where the expert has seen too little.
  std::optional<stats::Gram> expert_gram(const model::Stage& stage, const stats::Gram& own);
  void quantize(const model::Stage& stage, Pieces& pieces, std::vector<Applied>& applied);
  model::WeightHandle quantize_one(const model::LinearSpec& linear, const stats::Gram& gram,
                                   const quant::Factor* factor, const quant::TeacherPull& pull,
                                   std::int64_t extra_tokens);
  void apply(model::Stage& stage, Pieces& pieces, const std::vector<Applied>& applied);
  void record(WeightRecord record);
  void warn(std::string text);

  Services s_;
  // Gram of the layer's MLP input over all tokens, toward which cold experts are shrunk.
  std::unique_ptr<stats::Gram> layer_gram_;
  std::vector<WeightRecord> records_;
  std::vector<std::string> warnings_;
};

}  // namespace whit::pipeline
