#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/event.h"
#include "model/stage.h"
#include "model/weights.h"
#include "pipeline/apply.h"
#include "pipeline/held_out.h"
#include "pipeline/observer.h"
#include "pipeline/plan.h"
#include "pipeline/run.h"
#include "pipeline/step_writer.h"
#include "pipeline/teacher.h"
#include "quant/output_metric.h"

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
    const model::Sequences& sequences;
    Teacher* teacher;  // the original model's stream, or null
    StepWriter& writer;
    Ranks ranks;
    base::EventSink& events;
    const base::CancelToken& cancel;
  };
  explicit CalibratingRunner(const Services& services)
      : s_(services),
        observer_(services.plan, services.backend, services.store, services.teacher,
                  services.ranks) {}

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
  // The teacher's pull, and the factor of the tokens that it was seen on.
  struct Aim {
    quant::TeacherPull pull;
    const quant::Factor* factor = nullptr;
  };
  void run_one(model::Stage& stage);
  bool is_layer_input(const model::Stage& stage) const;
  Observation& observation_of(const model::Stage& stage, Pieces& pieces);
  void quantize(const model::Stage& stage, Pieces& pieces, std::vector<Applied>& applied);
  // What a stage's linears share: the sums in use and their factors. Fills observation.factor.
  const Sums& settle(const model::Stage& stage, Observation& observation,
                     std::optional<HeldOutChoice>& choice);
  // What `make` gives, on every rank that is at the stage: made by the one whose turn it is.
  template <typename Make>
  model::WeightHandle made(const model::Stage& stage, const model::LinearSpec& linear,
                           std::size_t turn, Make make);
  model::WeightHandle quantize_one(const model::LinearSpec& linear, const stats::Gram& gram,
                                   const quant::Factor* factor, const Aim& aim,
                                   std::int64_t extra_tokens);
  model::WeightHandle quantize_vectors(const model::LinearSpec& linear, const stats::Gram& gram,
                                       const Aim& aim, std::int64_t extra_tokens);
  // The published weight, moved to where the teacher's output is, if there is a teacher.
  model::WeightHandle aimed(const model::LinearSpec& linear, const Aim& aim);
  void learn_metrics(const model::Stage& stage);
  const quant::OutputMetric* metric_of(const model::LinearSpec& linear) const;
  // What stays unquantized but aims at the teacher's output too.
  model::WeightHandle refit_one(const model::LinearSpec& linear, const Aim& aim);
  void warn(std::string text);

  Services s_;
  Observer observer_;
  // Of the layer's MLP input over all tokens: the router's and the shared expert's; cold experts
  // lean on its Gram.
  std::optional<Observation> layer_input_;
  std::optional<Observation> observation_;                           // of the stage at work
  std::optional<Sums> leaning_;                                      // of the expert at work
  std::map<const model::LinearSpec*, quant::OutputMetric> metrics_;  // of this layer's attention
  std::vector<WeightRecord> records_;
  std::vector<std::string> warnings_;
};

}  // namespace whit::pipeline
