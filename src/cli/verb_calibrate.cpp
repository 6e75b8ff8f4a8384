#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <chrono>
#include <memory>

#include "base/error.h"
#include "base/memory.h"
#include "cli/inc_flags.h"
#include "cli/measure_json.h"
#include "cli/sample_flags.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "pipeline/calibrate.h"

namespace whit::cli {

namespace verb_calibrate {

using base::ErrorKind;
using base::fail;

// What calibrate_model.sh's documentation recommends; the script itself takes one.
constexpr std::int64_t kSamples = 512;

struct Flags {
  std::string model_argument, model, dataset, out, name, target = "gaudi3", method = "maxabs_hw";
  SampleFlags samples;
  std::int64_t limit = 0, batch = 32;
  int tensor_parallel = 1, ranks = 0;
  bool expert_parallel = false, overwrite = false, eager = false;
};

std::string model_name(const Flags& flags, const std::string& model) {
  std::string name = flags.name;
  if (name.empty()) {
    // org/name@revision, or a folder.
    const auto path = std::filesystem::path(model.substr(0, model.find('@'))).lexically_normal();
    name = (path.has_filename() ? path : path.parent_path()).filename().string();
  }
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos)
    fail(ErrorKind::kUsage, "--name", "{:?} names no folder; expected a name", name);
  return name;
}

scheme::Fp8Device device_of(const std::string& target) {
  if (target == "gaudi2") return scheme::Fp8Device::kGaudi2;
  if (target == "gaudi3") return scheme::Fp8Device::kGaudi3;
  fail(ErrorKind::kUsage, "--target", "{}; expected gaudi2 or gaudi3", target);
}

pipeline::CalibrateJob job_of(Session& session, const Flags& flags) {
  const std::string& model = flags.model.empty() ? flags.model_argument : flags.model;
  if (model.empty())
    fail(ErrorKind::kUsage, "--model", "not given; expected a model folder or org/name");
  if (!flags.model.empty() && !flags.model_argument.empty())
    fail(ErrorKind::kUsage, "--model", "given together with MODEL; expected one of them");
  pipeline::CalibrateJob job;
  job.model = session.model_folder(model);
  job.model_name = model_name(flags, model);
  job.calibration = flags.dataset;
  job.out = flags.out;
  job.samples = samples_from(flags.samples, session);
  if (flags.limit != 0) job.samples.samples = flags.limit;
  job.device = device_of(flags.target);
  job.scale_method = flags.method;
  job.ranks = flags.ranks > 0 ? flags.ranks : flags.tensor_parallel;
  job.expert_parallel = flags.expert_parallel;
  job.max_memory_bytes = session.memory_flag_bytes();
  job.overwrite = flags.overwrite;
  job.communicator = &session.ranks();
  return job;
}

report::Json result_to_json(const pipeline::CalibrateResult& result, const Flags& flags) {
  auto json = measurement_to_json(result.measured);
  json["output"] = result.output.string();
  json["files"] = paths_to_json(result.files);
  json["ranks"] = std::max<std::size_t>(result.scales.ranks.size(), 1);
  json["experts_shared_by"] = result.expert_parallel ? "expert_parallel" : "tensor_parallel";
  json["method"] = result.scales.method;
  json["target"] = flags.target;
  auto borrowed = report::Json::array();
  auto warnings = result.measured.warnings;
  for (const auto& warning : result.scales.warnings) warnings.push_back(warning);
  for (std::size_t rank = 0; rank < result.scales.ranks.size(); ++rank) {
    const auto& scales = result.scales.ranks[rank];
    for (const auto& unseen : scales.unseen)
      borrowed.push_back({{"rank", rank}, {"module", unseen.module}, {"tensor", unseen.tensor}});
    warnings.insert(warnings.end(), scales.warnings.begin(), scales.warnings.end());
  }
  json["unseen"] = std::move(borrowed);
  json["warnings"] = warnings;
  return json;
}

int run(Session& session, const Flags& flags) {
  const auto start = std::chrono::steady_clock::now();
  const auto job = job_of(session, flags);
  const auto result =
      pipeline::calibrate(job, session.backend(), session.events(), session.cancel());
  auto json = result_to_json(result, flags);
  const auto said = result.measured.warnings.size();
  for (std::size_t i = said; i < json["warnings"].size(); ++i)
    session.warn(json["warnings"][i].get<std::string>());
  json["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  json["peak_memory_bytes"] = base::peak_resident_bytes();
  session.print(json, paths_to_text(result.files));
  return 0;
}

Job declare(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  flags->samples.args.samples = kSamples;
  flags->samples.args.max_length = 1024;
  flags->samples.cut = "start";
  app.add_option("MODEL", flags->model_argument, "model folder or org/name[@revision]");
  app.add_option("-m,--model", flags->model, "the same")->type_name("MODEL");
  app.add_option("-d,--dataset,--calibration", flags->dataset, kDatasetHelp)
      ->type_name("DATASET")
      ->required();
  app.add_option("-o,--out", flags->out, "folder in which one for the model is made")
      ->type_name("DIR")
      ->required();
  app.add_option("--name", flags->name, "of the model's folder; else the model's, in lower case")
      ->type_name("NAME");
  app.add_option("-l,--limit", flags->limit, "sequences to draw, as --num-calibration-samples")
      ->type_name("N");
  app.add_option("-b,--batch", flags->batch, "accepted: all sequences go through a layer at once")
      ->type_name("N");
  app.add_option("-t,--tensor-parallel", flags->tensor_parallel, "ranks that will serve")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  app.add_option("-r,--ranks", flags->ranks, "ranks that the files are for; else those of -t")
      ->type_name("N");
  app.add_flag("-u,--expert-parallel", flags->expert_parallel,
               "ranks hold some experts whole; deepseek* does so anyway");
  app.add_flag("-e,--eager", flags->eager, "accepted: there is no graph to capture");
  app.add_option("--target", flags->target, "gaudi2 or gaudi3")
      ->type_name("DEVICE")
      ->capture_default_str();
  app.add_option("--scale-method", flags->method, "one of INC's")
      ->type_name("METHOD")
      ->capture_default_str();
  declare_sample_flags(app, flags->samples);
  app.add_flag("--overwrite", flags->overwrite, "replace what an earlier run left there");
  return [flags](Session& session) { return run(session, *flags); };
}

}  // namespace verb_calibrate

Verb calibrate_verb() {
  return {"calibrate", "FP8 calibration for Gaudi in one process: ranges, scales, configs",
          "  whit calibrate -m demo/moe-15m -d demo/text/calibration.jsonl -o out\n"
          "  whit calibrate -m MODEL -d dataset.pkl -o out -l 512 --least-tokens 1024 -t 8 -u\n",
          verb_calibrate::declare};
}

}  // namespace whit::cli
