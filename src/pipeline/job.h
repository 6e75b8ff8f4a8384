#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "model/activations.h"
#include "pipeline/journal.h"
#include "pipeline/plan.h"
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

}  // namespace whit::pipeline
