#include <CLI/CLI.hpp>
#include <memory>

#include "cli/inc_flags.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "pipeline/inc_jobs.h"

namespace whit::cli {

namespace verb_expand {

struct Flags {
  RunFlags run;
  int ranks = 0;
  std::string out;
};

int run(Session& session, const Flags& flags) {
  pipeline::ExpandJob job;
  job.measurements = flags.run.measurements;
  job.query = flags.run.query();
  job.ranks = flags.ranks;
  job.out = flags.out;
  const auto files = pipeline::expand_measurements(job, session.cancel());
  session.print({{"files", paths_to_json(files)}, {"ranks", flags.ranks}}, paths_to_text(files));
  return 0;
}

Job declare(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  declare_run_flags(app, flags->run, true);
  app.add_option("-r,-w,--ranks,--target-world-size", flags->ranks,
                 "ranks to expand to, which share the experts")
      ->type_name("N")
      ->required();
  app.add_option("-o,--out", flags->out, "folder for the files")->type_name("DIR")->required();
  return [flags](Session& session) { return run(session, *flags); };
}

}  // namespace verb_expand

Verb expand_verb() {
  return {"expand", "FP8 measurements of one rank for several that share the experts",
          "  whit expand --measurements g3-1 --ranks 16 --out g3-16\n", verb_expand::declare};
}

}  // namespace whit::cli
