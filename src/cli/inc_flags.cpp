#include "cli/inc_flags.h"

#include <CLI/CLI.hpp>

#include "base/error.h"

namespace whit::cli {

std::optional<stats::ExpertPlacement> RunFlags::placement() const {
  if (expert_parallel && tensor_parallel)
    base::fail(base::ErrorKind::kUsage, "--expert-parallel",
               "together with --tensor-parallel; expected one of them");
  if (expert_parallel) return stats::ExpertPlacement::kExpert;
  if (tensor_parallel) return stats::ExpertPlacement::kTensor;
  return std::nullopt;
}

void declare_run_flags(CLI::App& app, RunFlags& flags, bool measurements_required) {
  auto* folder = app.add_option("-m,--measurements", flags.measurements,
                                "folder of PREFIX_hooks_OBSERVER_RANK_WORLD.json and .npz")
                     ->type_name("DIR");
  if (measurements_required) folder->required();
  app.add_option("--prefix", flags.prefix, "of the run's files, where the folder holds several");
  app.add_option("--world", flags.world, "ranks of the run, where the folder holds several")
      ->type_name("N");
}

void declare_placement_flags(CLI::App& app, RunFlags& flags) {
  app.add_flag("-u,--expert-parallel", flags.expert_parallel,
               "each rank held some experts whole; else told by the experts' weights");
  app.add_flag("--tensor-parallel", flags.tensor_parallel, "each rank held a part of every expert");
}

report::Json paths_to_json(const std::vector<std::filesystem::path>& paths) {
  auto list = report::Json::array();
  for (const auto& path : paths) list.push_back(path.string());
  return list;
}

std::string paths_to_text(const std::vector<std::filesystem::path>& paths) {
  std::string text;
  for (const auto& path : paths) text += path.string() + "\n";
  return text;
}

}  // namespace whit::cli
