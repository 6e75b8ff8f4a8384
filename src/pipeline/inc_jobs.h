#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "formats/inc_names.h"
#include "pipeline/inc_scales.h"
#include "stats/ranges.h"

namespace whit::pipeline {

// Jobs on INC's files that need no forward pass.

struct UnifyJob {
  std::filesystem::path measurements;
  formats::IncRunQuery query;
  int ranks = 1;
  std::filesystem::path out;
  std::optional<stats::ExpertPlacement> placement;  // else found in the measurements
  bool scales = true;                               // scale files beside them too
  bool link_caches = false;                         // see stats::link_caches
};

struct UnifyResult {
  std::vector<std::filesystem::path> files;
  int world = 0;  // of what was read
  stats::PlacementFinding placement;
  std::vector<std::string> incomplete;
  std::vector<stats::UnseenExpert> unseen;
  std::vector<std::string> linked;  // products that got their cache's range
  std::vector<std::string> warnings;
};

// Measurements of several ranks as those of fewer. Errors: those of find_measurements,
// read_measurements and stats::unify; kUsage where `out` holds the same run's files of other ranks.
UnifyResult unify_measurements(const UnifyJob& job, base::CancelToken& cancel);

struct ExpandJob {
  std::filesystem::path measurements;
  formats::IncRunQuery query;
  int ranks = 2;
  std::filesystem::path out;
};

// Measurements of one rank for several. Errors: as above, and those of stats::expand.
std::vector<std::filesystem::path> expand_measurements(const ExpandJob& job,
                                                       base::CancelToken& cancel);

struct ScalesJob {
  std::filesystem::path model;
  std::filesystem::path config;
  std::optional<std::filesystem::path> measurements;  // else where the config says
  std::optional<std::filesystem::path> out;           // else beside the measurements
  formats::IncRunQuery query;
  std::optional<scheme::Fp8Device> device;  // that will serve
  quant::ScaleArithmetic arithmetic = quant::ScaleArithmetic::kInc;
  NoData no_data = NoData::kBorrow;
  std::optional<stats::ExpertPlacement> placement;
};

struct ScalesResult {
  std::vector<std::filesystem::path> files;
  std::vector<RankScales> ranks;
  std::string method;
  scheme::Fp8Device device = scheme::Fp8Device::kGaudi3;
  bool device_named = false;  // by the config or the job
  formats::IncScaleFormat scale_format = formats::IncScaleFormat::kScalar;
  std::vector<std::string> warnings;
};

// The scale files that INC's run with this config writes. Errors: those of read_inc_config,
// find_measurements, read_measurements and derive_scales.
ScalesResult write_scales(const ScalesJob& job, base::CancelToken& cancel);

}  // namespace whit::pipeline
