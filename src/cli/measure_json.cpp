#include "cli/measure_json.h"

#include "cli/inc_flags.h"

namespace whit::cli {

report::Json measurement_to_json(const pipeline::MeasureResult& result) {
  auto experts = report::Json::array();
  for (const auto& layer : result.experts)
    experts.push_back({{"module", layer.module}, {"tokens", layer.tokens}});
  auto unseen = report::Json::array();
  for (const auto& expert : result.unseen)
    unseen.push_back({{"module", expert.moe}, {"expert", expert.expert}});
  return {{"output", result.run.folder.string()},
          {"files", paths_to_json(result.files)},
          {"samples", result.samples},
          {"tokens", result.tokens},
          {"forward_seconds", result.forward_seconds},
          {"hidden_states_in_files", result.spilled},
          {"experts", std::move(experts)},
          {"unseen_experts", std::move(unseen)},
          {"warnings", result.warnings}};
}

report::Json hessians_to_json(const pipeline::HessianResult& result) {
  return {{"files", paths_to_json(result.files)},
          {"samples", result.samples},
          {"tokens", result.tokens},
          {"forward_seconds", result.forward_seconds},
          {"hidden_states_in_files", result.spilled},
          {"warnings", result.warnings}};
}

}  // namespace whit::cli
