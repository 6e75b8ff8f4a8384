#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/event.h"
#include "checkpoint/checkpoint.h"
#include "comm/communicator.h"
#include "compute/backend.h"
#include "pipeline/plan.h"
#include "pipeline/recipe.h"

namespace whit::pipeline {

// What became of one weight. Errors are absent where no calibration text was run.
struct WeightRecord {
  std::string name;    // module
  std::string method;  // "gptq"
  std::int64_t tokens = 0;
  std::int64_t extra_tokens = 0;  // topped up
  std::optional<double> proxy_error, proxy_error_rtn;
  double damping = 0;
  double reach =
      0;  // the largest grid's end over the rms of its group: outliers, where it is large
  double seconds = 0;
};

struct RunResult {
  std::filesystem::path output;
  double bits_per_weight = 0;
  double seconds = 0;
  std::uint64_t peak_memory_bytes = 0;
  std::int64_t tensors_quantized = 0, tensors_copied = 0;
  std::vector<WeightRecord> weights;
  std::vector<std::string> warnings;
  bool resumed = false;
};

enum class ExistingOutput : std::uint8_t { kRefuse, kResume, kOverwrite };

struct RunArgs {
  Recipe recipe;
  std::filesystem::path output;
  ExistingOutput existing = ExistingOutput::kRefuse;
  // Who share the job, all with the same arguments; null: this process does all of it.
  comm::Communicator* ranks = nullptr;
};

// Quantizes `checkpoint` into args.output. The folder has a config.json only when it is whole.
// Events: "step" {name, index, count, resumed}, "progress" {done_flops, total_flops}, "weight" (the
// fields of WeightRecord), "expert_topped_up" {name, routed, extra}, "warning" {text}, "note"
// {text}. Of several ranks the root (0) writes the files, and it alone has records in its result;
// the bytes are those that one process writes. Errors: those of make_plan and draw_samples; kUsage
// where the output exists and `existing` says refuse, or where a resumed job differs from the one
// begun; kInterrupted.
RunResult run(const checkpoint::Checkpoint& checkpoint, const RunArgs& args,
              compute::Backend& backend, base::EventSink& events, const base::CancelToken& cancel);

}  // namespace whit::pipeline
