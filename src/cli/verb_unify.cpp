#include <CLI/CLI.hpp>
#include <memory>

#include "cli/inc_flags.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "pipeline/inc_jobs.h"

namespace whit::cli {

namespace verb_unify {

struct Flags {
  RunFlags run;
  int ranks = 0;
  std::string out;
  bool skip_scales = false, link_caches = false;
};

int run(Session& session, const Flags& flags) {
  pipeline::UnifyJob job;
  job.measurements = flags.run.measurements;
  job.query = flags.run.query();
  job.ranks = flags.ranks;
  job.out = flags.out;
  job.placement = flags.run.placement();
  job.scales = !flags.skip_scales;
  job.link_caches = flags.link_caches;
  auto result = pipeline::unify_measurements(job, session.cancel());
  for (const auto& name : result.incomplete)
    result.warnings.push_back(name + ": not measured on every rank; those that have it are merged");
  auto unseen = report::Json::array();
  for (const auto& [rank, moe, expert] : result.unseen) {
    unseen.push_back({{"rank", rank}, {"module", moe}, {"expert", expert}});
    result.warnings.push_back(
        fmt::format("{}: no token of the calibration reached expert {}", moe, expert));
  }
  for (const auto& warning : result.warnings) session.warn(warning);
  session.print({{"files", paths_to_json(result.files)},
                 {"ranks", flags.ranks},
                 {"ranks_read", result.world},
                 {"experts", result.placement.placement == stats::ExpertPlacement::kExpert
                                 ? "expert_parallel"
                                 : "tensor_parallel"},
                 {"experts_reason", result.placement.reason},
                 {"incomplete", result.incomplete},
                 {"linked", result.linked},
                 {"unseen_experts", std::move(unseen)},
                 {"warnings", result.warnings}},
                paths_to_text(result.files));
  return 0;
}

Job declare(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  declare_run_flags(app, flags->run, true);
  app.add_option("-r,--ranks", flags->ranks, "ranks to unify to")->type_name("N")->required();
  app.add_option("-o,--out", flags->out, "folder for the files")->type_name("DIR")->required();
  declare_placement_flags(app, flags->run);
  app.add_flag("-s,--skip-scales", flags->skip_scales, "leave scale files alone");
  app.add_flag("--link-caches", flags->link_caches,
               "products of attention get the range of the cache that they read (for files of "
               "engines that decode)");
  return [flags](Session& session) { return run(session, *flags); };
}

}  // namespace verb_unify

Verb unify_verb() {
  return {"unify", "FP8 measurements of several ranks as those of fewer",
          "  whit unify --measurements g3 --ranks 8 --out g3-8\n"
          "  whit unify --measurements g3 --ranks 1 --out g3-1 --expert-parallel\n",
          verb_unify::declare};
}

}  // namespace whit::cli
