#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/recipe.h"

namespace CLI {
class App;
}  // namespace CLI

namespace whit::cli {

// What --method vptq adds, as typed: VPTQ's own flags, and what whit does beyond it.
struct VptqFlags {
  // Of outliers, then of the other columns; -1: none.
  std::vector<std::int64_t> lengths, centroids, residuals;
  std::int64_t groups = 1;
  double outlier_percent = 0;
  bool norm = false, permute = false, keep_order = false, packed = false;
  int norm_dim = 0;
  std::int64_t iterations = 100;
  double tolerance = 1e-5, least_gain = 1e-4;
  std::string start = "sample", metric = "folded", mode = "hessian";
  std::int64_t beam = 8;
  std::optional<int> rounds;  // absent: as the quality has it
  std::string hessians, inverses;
};

void declare_vptq_flags(CLI::App& app, VptqFlags& flags);

// What else on the command line says something to VPTQ.
struct VptqContext {
  double bits = 4;              // holds where no lengths and codebooks are given
  std::int64_t group_size = 0;  // as --group-size has it, 0 or less for none
  std::uint64_t seed = 0;
  pipeline::Quality quality = pipeline::Quality::kDefault;
};

// Errors: kUsage and kUnsupported, subject = flag.
pipeline::VptqRecipe vptq_from(const VptqFlags& flags, const VptqContext& context);

}  // namespace whit::cli
