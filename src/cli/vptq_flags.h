#pragma once

#include <cstdint>
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
  int rounds = 2;
  std::string hessians, inverses;
};

void declare_vptq_flags(CLI::App& app, VptqFlags& flags);

// `bits` holds where no lengths and codebooks are given; group_size: as --group-size has it, 0 or
// less for none. Errors: kUsage and kUnsupported, subject = flag.
pipeline::VptqRecipe vptq_from(const VptqFlags& flags, double bits, std::int64_t group_size,
                               std::uint64_t seed);

}  // namespace whit::cli
