#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "formats/inc_names.h"
#include "report/json.h"
#include "stats/ranges.h"

namespace CLI {
class App;
}

namespace whit::cli {

// Flags that choose one run of measurements.
struct RunFlags {
  std::string measurements;
  std::string prefix;
  int world = 0;
  bool expert_parallel = false;
  bool tensor_parallel = false;

  formats::IncRunQuery query() const { return {prefix, "", world}; }
  // Errors: kUsage where both are asked for.
  std::optional<stats::ExpertPlacement> placement() const;
};

void declare_run_flags(CLI::App& app, RunFlags& flags, bool measurements_required);
void declare_placement_flags(CLI::App& app, RunFlags& flags);

report::Json paths_to_json(const std::vector<std::filesystem::path>& paths);
std::string paths_to_text(const std::vector<std::filesystem::path>& paths);

}  // namespace whit::cli
