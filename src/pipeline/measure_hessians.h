#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/event.h"
#include "compute/backend.h"
#include "data/samples.h"

namespace whit::pipeline {

struct HessianJob {
  std::filesystem::path model;
  std::filesystem::path out;          // folder of the files
  std::filesystem::path calibration;  // a dataset, see data::draw_samples
  data::SampleArgs samples;
  std::uint64_t max_memory_bytes = 0;  // 0: no limit
  bool overwrite = false;
};

struct HessianResult {
  std::vector<std::filesystem::path> files;
  std::int64_t samples = 0, tokens = 0;
  std::vector<std::string> warnings;
  double forward_seconds = 0;
  bool spilled = false;  // hidden states lay in files
};

// Means and covariances of what every linear of the unquantized model reads, in the files that
// VPTQ's quantizer opens: LAYER_qkv.pt, LAYER_o.pt, LAYER_up.pt, LAYER_down.pt; and MODULE.pt for
// linears that it does not know (MLA's latents, experts, prediction layers). Of one hidden state at
// a time, except that those of a layer outside its experts are in memory together. Bytes do not
// depend on threads. Events: "samples", "progress", "warning". Errors: those of draw_samples and
// load_spec; kUsage where `out` holds .pt files and `overwrite` is not set; kInput for what is not
// finite; kResource.
HessianResult measure_hessians(const HessianJob& job, compute::Backend& backend,
                               base::EventSink& events, const base::CancelToken& cancel);

}  // namespace whit::pipeline
