#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/event.h"
#include "compute/backend.h"
#include "eval/windows.h"
#include "pipeline/recipe.h"
#include "report/quality_table.h"

namespace whit::report {

// A row to be measured: its name and flags for people, and what they mean.
struct QualityJob {
  std::string name, does, flags;
  pipeline::Recipe recipe;
};

struct QualityInput {
  std::string name;  // as tables show it
  std::filesystem::path file;
  std::vector<eval::Window> windows;
};

struct QualityArgs {
  std::filesystem::path model;
  std::vector<QualityJob> jobs;  // in the table's order
  std::vector<QualityInput> texts;
  std::string baseline;                // name of the row that losses are told relative to
  std::filesystem::path work;          // exists; each row's checkpoint is written into it
  bool keep = false;                   // or removed once it is measured
  std::uint64_t max_memory_bytes = 0;  // for evaluation, as eval::EvalArgs has it
};

// Name of a job's folder inside `work`: "best-descent-4bit".
std::string folder_of(const QualityJob& job);

// Quantizes the model as each job says, as pipeline::run does, and scores what was written against
// the model on every text, as eval::evaluate does; the model itself runs once a text. A job that
// fails keeps its error and the others go on; a job whose plan is refused is not begun. Once
// cancelled, the jobs that are left carry kInterrupted, and what was half written is removed.
// Events: "step" when a row begins, "row" {row, bits, seconds, mean_kl_nats_TEXT...} when it is
// done, and those of run and evaluate with a field "row"; their "step" is called "row_step" here.
// Errors: where the model cannot be opened or run, the first job's where no plan is accepted, and
// kUsage where a folder of a job exists.
QualityTable bench_quality(compute::Backend& backend, const QualityArgs& args,
                           base::EventSink& events, const base::CancelToken& cancel);

}  // namespace whit::report
