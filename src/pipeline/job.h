#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/event.h"
#include "checkpoint/checkpoint.h"
#include "model/activations.h"
#include "pipeline/journal.h"
#include "pipeline/plan.h"
#include "pipeline/ranks.h"
#include "pipeline/run.h"

namespace whit::pipeline {

// Everything that the output's bytes depend on, as the journal remembers it.
nlohmann::ordered_json describe_job(const checkpoint::Checkpoint& source, const Plan& plan,
                                    const model::Sequences& sequences, const std::string& backend);

// The output folder, ready to be written to. Errors: kUsage where it holds something that
// `existing` does not allow to touch, or is the source; kResource where it cannot be written.
void prepare_output(const std::filesystem::path& output, const std::filesystem::path& source,
                    ExistingOutput existing);

// Whether `output` already is the checkpoint that `plan` describes: every shard has its size, and
// config.json says the same.
bool is_finished(const Plan& plan, const checkpoint::Checkpoint& source,
                 const std::filesystem::path& output);

// Errors: kResource where the disk has too little room for what is still to be written.
void check_free_space(const std::filesystem::path& output, const Plan& plan,
                      const std::vector<StepRecord>& finished);

// Event "weight".
void emit_weight(const WeightRecord& record, base::EventSink& events);

// The root's record of a step gets the weights and warnings of the other ranks, whose weights are
// told as events; `layer` (may be null) gives the weights' order. Called by all ranks together.
void gather_record(const Ranks& ranks, const model::LayerSpec* layer, StepRecord& record,
                   base::EventSink& events);

// What every rank has to know of the steps that are finished.
struct FinishedSteps {
  std::size_t count = 0;
  std::vector<std::string> files;
};
// The root's, on every rank.
FinishedSteps broadcast_finished(const Ranks& ranks, const std::vector<StepRecord>& records);

}  // namespace whit::pipeline
