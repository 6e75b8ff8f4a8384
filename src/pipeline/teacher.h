#pragma once

#include <functional>
#include <map>
#include <memory>

#include "model/forward.h"
#include "pipeline/plan.h"
#include "stats/site.h"

namespace whit::pipeline {

// The original model beside the one that is being quantized: a second stream of activations that
// runs through the original weights, one layer ahead, and remembers what every linear read.
class Teacher {
 public:
  using MakeStore = std::function<std::unique_ptr<model::ActivationStore>()>;

  Teacher(const Plan& plan, compute::Backend& backend, model::WeightSource& source,
          model::Sequences sequences, MakeStore make_store);
  const model::Sequences& sequences() const { return sequences_; }

  void embed();
  // Advances by one layer and remembers its hidden states until the next call; `record` false: only
  // advances (layers that are done already).
  void advance(const Step& step, bool record);

  // How many of the stage's rows [first, first + count) it sees: a run at their beginning.
  std::int64_t seen_rows(const model::Stage& stage, std::int64_t first, std::int64_t count) const;
  // The stream itself, after the layer that it advanced by last: x[rows, hidden] from row0 on.
  void stream(std::int64_t row0, tensor::MatrixView x);
  // What the original model's linears read at a stage, from row `first` on: x[rows, width]. For an
  // expert, the original hidden states of the tokens that the quantized model routes there.
  void input(const model::Stage& stage, std::int64_t first, tensor::MatrixView x);
  // The residual stream that the outputs of `stage` are added to: x[rows, hidden].
  // There is one before attention's output, a dense MLP's and a shared expert's.
  bool has_residual(const model::Stage& stage) const;
  void residual(const model::Stage& stage, std::int64_t first, tensor::MatrixView x);
  // The stage of an expert is behind: what was computed for it goes.
  void forget(const stats::TapId& site);

 private:
  class Recorder;
  using Record = std::unique_ptr<model::ActivationStore>;

  model::ForwardContext context(model::StageRunner& runner);
  Record copy_hidden();
  void read(const Record& record, std::int64_t row0, tensor::MatrixView x);
  const tensor::Tensor& expert_mid(const model::Stage& stage);

  const Plan& plan_;
  compute::Backend& backend_;
  model::WeightSource& source_;
  model::Sequences sequences_;
  MakeStore make_store_;
  Record hidden_;
  const model::LayerSpec* layer_ = nullptr;
  std::map<stats::TapId, Record> inputs_;      // by site, rows of all tokens
  std::map<stats::Site, Record> residuals_;    // by the site whose outputs are added
  std::map<int, tensor::Tensor> expert_mids_;  // of the block of experts at work
};

}  // namespace whit::pipeline
