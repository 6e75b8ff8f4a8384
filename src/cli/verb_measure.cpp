#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/memory.h"
#include "cli/choose.h"
#include "cli/inc_flags.h"
#include "cli/measure_json.h"
#include "cli/sample_flags.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "pipeline/measure.h"
#include "pipeline/measure_hessians.h"

namespace whit::cli {

namespace verb_measure {

using base::ErrorKind;

struct Flags {
  std::string model, calibration, config, out, hessians, observer, mtp = "leave";
  SampleFlags samples;
  bool overwrite = false;
};

// What jobs on calibration data share.
template <typename Measuring>
Measuring begun(Session& session, const Flags& flags) {
  Measuring job;
  job.model = session.model_folder(flags.model);
  job.calibration = flags.calibration;
  job.samples = samples_from(flags.samples, session);
  job.max_memory_bytes = session.memory_flag_bytes();
  job.overwrite = flags.overwrite;
  return job;
}

void print(Session& session, report::Json json, const std::vector<std::filesystem::path>& files,
           std::chrono::steady_clock::time_point start) {
  json["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  json["peak_memory_bytes"] = base::peak_resident_bytes();
  session.print(json, paths_to_text(files));
}

void set_observer(formats::IncConfig& config, const std::string& name) {
  if (name.empty()) return;
  config.observer = choose<std::string>(name, "--observer",
                                        {{"maxabs", "maxabs"},
                                         {"maxabs_per_channel", "maxabs_per_channel"},
                                         {"save", "save"},
                                         {"shape", "shape"}});
  if (config.mode == formats::IncMode::kShape) config.mode = formats::IncMode::kMeasure;
}

pipeline::MeasureJob job_of(Session& session, const Flags& flags) {
  auto job = begun<pipeline::MeasureJob>(session, flags);
  job.ranks = &session.ranks();
  job.mtp = choose<bool>(flags.mtp, "--mtp", {{"leave", false}, {"measure", true}});
  std::string config = flags.config;
  if (const char* named = std::getenv("QUANT_CONFIG"); config.empty() && named != nullptr)
    config = named;
  if (config.empty() && flags.out.empty())
    base::fail(ErrorKind::kUsage, "--out",
               "not given, nor is there --config or QUANT_CONFIG; expected a folder for the files");
  job.out = flags.out;
  if (config.empty()) {
    job.config.mode = formats::IncMode::kMeasure;
    set_observer(job.config, flags.observer);
    return job;
  }
  job.config = formats::read_inc_config(config);
  set_observer(job.config, flags.observer);
  job.config_subject = config;
  if (!job.config.dump_stats_path && !flags.out.empty()) return job;
  const auto path = formats::resolve_dump_path(job.config, config);
  job.prefix = path.prefix;
  if (flags.out.empty()) job.out = path.folders.front();
  return job;
}

// Hessians for VPTQ, instead of ranges.
int run_hessians(Session& session, const Flags& flags) {
  if (!flags.config.empty() || !flags.out.empty())
    base::fail(ErrorKind::kUsage, "--hessians",
               "given together with --config or --out, which are for ranges; expected it alone");
  if (session.ranks().size() > 1)
    base::fail(ErrorKind::kUnsupported, "--hessians", "{} ranks; expected one process",
               session.ranks().size());
  const auto start = std::chrono::steady_clock::now();
  auto job = begun<pipeline::HessianJob>(session, flags);
  job.out = flags.hessians;
  const auto result =
      pipeline::measure_hessians(job, session.backend(), session.events(), session.cancel());
  report::Json json = hessians_to_json(result);
  json["output"] = flags.hessians;
  print(session, std::move(json), result.files, start);
  return 0;
}

int run(Session& session, const Flags& flags) {
  if (!flags.hessians.empty()) return run_hessians(session, flags);
  const auto start = std::chrono::steady_clock::now();
  const auto job = job_of(session, flags);
  for (const auto& warning : job.config.warnings) session.warn(warning);
  auto result = pipeline::measure(job, session.backend(), session.events(), session.cancel());
  result.warnings.insert(result.warnings.begin(), job.config.warnings.begin(),
                         job.config.warnings.end());
  print(session, measurement_to_json(result), result.files, start);
  return 0;
}

Job declare(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("MODEL", flags->model, "model folder or org/name[@revision]")->required();
  app.add_option("--calibration", flags->calibration, kDatasetHelp)
      ->type_name("DATASET")
      ->required();
  app.add_option("--config", flags->config,
                 "Intel Neural Compressor's JSON config in MEASURE mode; else $QUANT_CONFIG; else "
                 "maxima of everything")
      ->type_name("FILE");
  app.add_option("-o,--out", flags->out,
                 "folder for the files; else that of the config's dump_stats_path")
      ->type_name("DIR");
  app.add_option(
         "--hessians", flags->hessians,
         "folder for VPTQ's Hessians (LAYER_qkv.pt ...) of what every linear reads, instead "
         "of ranges; whit quantize --hessian-path reads them")
      ->type_name("DIR");
  app.add_option("--observer", flags->observer,
                 "maxabs; maxabs_per_channel; save: every tensor as a torch file in OUT/tensors; "
                 "shape: their extents; else the config's, or maxabs")
      ->type_name("NAME");
  app.add_option("--mtp", flags->mtp, "the layers that predict further tokens")
      ->type_name("leave|measure")
      ->capture_default_str();
  declare_sample_flags(app, flags->samples);
  app.add_flag("--overwrite", flags->overwrite, "replace the run's files that are there");
  return [flags](Session& session) { return run(session, *flags); };
}

}  // namespace verb_measure

Verb measure_verb() {
  return {"measure", "FP8 ranges of a model's tensors over calibration data, or Hessians for VPTQ",
          "  whit measure demo/moe-15m --calibration demo/text/calibration.jsonl --out g3\n"
          "  whit measure demo/moe-15m --calibration demo/text/calibration.jsonl --hessians h\n"
          "  whit measure MODEL --calibration rows.pkl --config maxabs_measure_g3.json\n"
          "      --num-calibration-samples 512 --least-tokens 1024 --max-sequence-length 1024\n",
          verb_measure::declare};
}

}  // namespace whit::cli
