#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "pipeline/inc_jobs.h"
#include "pipeline/measure.h"
#include "scheme/fp8_scaling.h"

namespace whit::pipeline {

// What vLLM-Gaudi's calibrate_model.sh does, in one process.
struct CalibrateJob {
  std::filesystem::path model;
  std::string model_name;  // of the folder in `out`; its beginning chooses what is left out
  std::filesystem::path calibration;
  std::filesystem::path out;
  data::SampleArgs samples;
  scheme::Fp8Device device = scheme::Fp8Device::kGaudi3;
  std::string scale_method = "maxabs_hw";
  int ranks = 1;                 // that will serve
  bool expert_parallel = false;  // each of them has some experts whole, else a part of each
  std::uint64_t max_memory_bytes = 0;
  bool overwrite = false;
  // Who share the measuring; null: this process does all of it. The root writes the files.
  comm::Communicator* communicator = nullptr;
};

struct CalibrateResult {
  std::filesystem::path output;  // OUT/NAME
  std::vector<std::filesystem::path> files;
  MeasureResult measured;
  ScalesResult scales;
  bool expert_parallel = false;
};

// Writes, in OUT/NAME: maxabs_measure_gN.json and maxabs_quant_gN.json, INC's configs; in gN the
// measurements of `ranks` ranks, their mod_lists, and the scales that INC derives. For several
// ranks what was measured, as one rank's, is in gN_measured. Keys, values and products are measured
// as the same tensors, so that nothing is left to link. Errors: those of measure,
// expand_measurements and write_scales.
CalibrateResult calibrate(const CalibrateJob& job, compute::Backend& backend,
                          base::EventSink& events, base::CancelToken& cancel);

// "g2" or "g3". Errors: kUnsupported for what is no Gaudi.
std::string short_name(scheme::Fp8Device device);

}  // namespace whit::pipeline
