#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/cancel.h"
#include "base/event.h"
#include "compute/backend.h"
#include "pipeline/recipe.h"
#include "report/bench.h"

namespace whit::report {

struct LayerBenchArgs {
  std::string arch = "deepseek_v3";
  bool dense = false;        // of a mixture: one of its dense layers
  std::int64_t experts = 0;  // 0: as many as the model has
  std::int64_t tokens = 8192;
  std::int64_t length = 4096;    // of a sequence
  std::filesystem::path folder;  // for the checkpoint, the calibration and the output
  pipeline::Recipe recipe;       // its calibration is replaced
  compute::Limits limits;
  bool metered = true;  // false: the whole alone, nothing waits for a function's end
};

// Quantizes one generated layer with the pipeline's own code: what each function of the backend
// took, beside the larger of what its operations and its bytes need at the machine's limits; what
// is left is files, packing and the host. Then the whole model by that layer, where it is
// DeepSeek-V3's. A checkpoint that lies in the folder already is used again.
BenchTable bench_layer(compute::Backend& backend, const LayerBenchArgs& args,
                       base::EventSink& events, const base::CancelToken& cancel);

}  // namespace whit::report
