#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "base/cancel.h"
#include "base/event.h"
#include "compute/backend.h"
#include "eval/windows.h"
#include "model/serving.h"
#include "model/spec.h"
#include "model/weights.h"

namespace whit::eval {

struct EvalModel {
  const model::ModelSpec* spec = nullptr;
  model::WeightSource* weights = nullptr;
  const model::Serving* serving = nullptr;  // what else its server rounds
};

// How far a model is from its original on the same tokens.
struct Comparison {
  double mean_kl_nats = 0;  // KL(reference || model) per scored token
  double mean_kl_standard_error_nats = 0;
  double p99_kl_nats = 0;
  double top1_agreement = 0;  // share of tokens with the same likeliest next token
  double reference_nll_nats = 0;
  double reference_perplexity = 0;
  std::vector<double> window_kl_nats;  // mean of each window, in order
};

struct EvalResult {
  std::int64_t tokens = 0;  // scored: all but the first of each window
  std::int64_t windows = 0;
  double nll_nats = 0;                 // mean per scored token
  double nll_standard_error_nats = 0;  // over windows; NaN for one window
  double perplexity = 0;
  std::optional<Comparison> comparison;
  double seconds = 0;
};

struct EvalArgs {
  std::uint64_t max_memory_bytes = 0;  // 0: no limit; bounds how many windows go through at once
};

// Scores windows layer by layer; with `reference`, both models in the same pass. Events:
// "progress". Errors: kInput where the vocabularies differ or an id is outside of them; kResource
// where not even one window fits; kInterrupted.
EvalResult evaluate(compute::Backend& backend, const EvalModel& model,
                    const std::optional<EvalModel>& reference, const std::vector<Window>& windows,
                    const EvalArgs& args, base::EventSink& events, const base::CancelToken& cancel);

// An original's forward over `windows`, run once, and models scored against it one after the other.
// Its last hidden states lie in files without a name in `folder`. Windows go through in the same
// portions for every model, chosen when the reference is made; portions change the last digits of a
// float at most. Events and errors: those of `evaluate`; kResource where `folder` cannot be
// written. What is passed in outlives it.
class Reference {
 public:
  Reference(compute::Backend& backend, const EvalModel& original,
            const std::vector<Window>& windows, const std::filesystem::path& folder,
            const EvalArgs& args, base::EventSink& events, const base::CancelToken& cancel);
  ~Reference();
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;

  // What `evaluate` gives for `model` beside the original.
  EvalResult evaluate(const EvalModel& model);

 private:
  struct Portion;

  compute::Backend& backend_;
  EvalModel original_;
  base::EventSink& events_;
  const base::CancelToken& cancel_;
  std::vector<std::unique_ptr<Portion>> portions_;
  std::size_t windows_ = 0;
};

}  // namespace whit::eval
