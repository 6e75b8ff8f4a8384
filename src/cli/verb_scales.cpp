#include <CLI/CLI.hpp>
#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "cli/inc_flags.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "pipeline/inc_jobs.h"

namespace whit::cli {

namespace verb_scales {

using base::ErrorKind;

struct Flags {
  RunFlags run;
  std::string model, config, out, target;
  std::string arithmetic = "inc";
  std::string no_data = "borrow";
};

std::optional<scheme::Fp8Device> device_of(const std::string& name) {
  if (name.empty()) return std::nullopt;
  if (name == "gaudi2") return scheme::Fp8Device::kGaudi2;
  if (name == "gaudi3") return scheme::Fp8Device::kGaudi3;
  if (name == "generic") return scheme::Fp8Device::kGeneric;
  base::fail(ErrorKind::kUsage, "--target", "{}; expected gaudi2, gaudi3 or generic", name);
}

template <typename Enum>
Enum choose(const std::string& flag, const std::string& value, const char* first, Enum one,
            const char* second, Enum other) {
  if (value == first) return one;
  if (value == second) return other;
  base::fail(ErrorKind::kUsage, flag, "{}; expected {} or {}", value, first, second);
}

pipeline::ScalesJob job_of(Session& session, const Flags& flags) {
  pipeline::ScalesJob job;
  job.model = session.model_folder(flags.model);
  std::string config = flags.config;
  if (const char* named = std::getenv("QUANT_CONFIG"); config.empty() && named != nullptr)
    config = named;
  if (config.empty())
    base::fail(ErrorKind::kUsage, "--config", "not given, nor is QUANT_CONFIG set; expected one");
  job.config = config;
  if (!flags.run.measurements.empty()) job.measurements = flags.run.measurements;
  if (!flags.out.empty()) job.out = flags.out;
  job.query = flags.run.query();
  job.placement = flags.run.placement();
  job.device = device_of(flags.target);
  job.arithmetic = choose("--arithmetic", flags.arithmetic, "inc", quant::ScaleArithmetic::kInc,
                          "exact", quant::ScaleArithmetic::kExact);
  job.no_data = choose("--no-data", flags.no_data, "borrow", pipeline::NoData::kBorrow, "as-inc",
                       pipeline::NoData::kAsInc);
  return job;
}

report::Json to_json(const formats::IncScale& scale) {
  if (scale.values.empty()) return nullptr;
  if (!scale.list) return scale.values[0];
  return scale.values;
}

report::Json to_json(const std::vector<formats::IncScale>& scales) {
  auto list = report::Json::array();
  for (const auto& scale : scales) list.push_back(to_json(scale));
  return list;
}

report::Json module_to_json(const formats::IncModuleScales& scales, int rank, bool ranked) {
  auto params = report::Json::object();
  if (scales.weight && scales.weight_in)
    params["weight"] = {{"0", to_json(*scales.weight)}, {"1", to_json(*scales.weight_in)}};
  else if (scales.weight)
    params["weight"] = to_json(*scales.weight);
  report::Json json{{"name", scales.module}};
  if (ranked) json["rank"] = rank;
  json["inputs"] = to_json(scales.inputs);
  json["outputs"] = to_json(scales.outputs);
  json["params"] = std::move(params);
  return json;
}

report::Json unseen_to_json(const pipeline::UnseenTensor& unseen, int rank) {
  report::Json json{{"rank", rank}, {"module", unseen.module}, {"tensor", unseen.tensor}};
  if (unseen.borrowed) {
    json["borrowed_amax"] = *unseen.borrowed;
  } else {
    json["borrowed_amax"] = nullptr;
    json["borrowed_amax_reason"] = "no sibling was seen; the scale is 1";
  }
  return json;
}

// The document, and every warning once more as an event.
report::Json result_to_json(Session& session, const pipeline::ScalesResult& result) {
  auto modules = report::Json::array();
  auto unseen = report::Json::array();
  auto unmeasured = report::Json::array();
  auto warnings = result.warnings;
  for (std::size_t i = 0; i < result.ranks.size(); ++i) {
    const auto& rank = result.ranks[i];
    const int number = static_cast<int>(i);
    for (const auto& scales : rank.file.modules)
      modules.push_back(module_to_json(scales, number, result.ranks.size() > 1));
    for (const auto& tensor : rank.unseen) unseen.push_back(unseen_to_json(tensor, number));
    for (const auto& module : rank.unmeasured)
      unmeasured.push_back({{"rank", number}, {"module", module}});
    warnings.insert(warnings.end(), rank.warnings.begin(), rank.warnings.end());
  }
  if (!unseen.empty())
    warnings.push_back(
        fmt::format("{} tensors have a maximum of 0: calibration never saw them (field unseen)",
                    unseen.size()));
  if (!unmeasured.empty())
    warnings.push_back(
        fmt::format("{} selected modules have no measurements, and no scales (field unmeasured)",
                    unmeasured.size()));
  if (!result.device_named)
    warnings.emplace_back(
        "scales are GAUDI3's; neither device_for_scales nor --target names another");
  for (const auto& warning : warnings) session.warn(warning);
  return {
      {"files", paths_to_json(result.files)},
      {"method", result.method},
      {"device_for_scales", std::string(scheme::name_of(result.device))},
      {"scale_format", result.scale_format == formats::IncScaleFormat::kConst ? "CONST" : "SCALAR"},
      {"modules", std::move(modules)},
      {"unseen", std::move(unseen)},
      {"unmeasured", std::move(unmeasured)},
      {"warnings", warnings}};
}

int run(Session& session, const Flags& flags) {
  const auto result = pipeline::write_scales(job_of(session, flags), session.cancel());
  session.print(result_to_json(session, result), paths_to_text(result.files));
  return 0;
}

Job declare(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("MODEL", flags->model, "model, or a folder of safetensors with MODULE.weight")
      ->required();
  app.add_option("--config", flags->config,
                 "Intel Neural Compressor's JSON config in QUANTIZE mode; else $QUANT_CONFIG")
      ->type_name("FILE");
  declare_run_flags(app, flags->run, false);
  app.add_option("-o,--out", flags->out, "folder for the files; else that of the measurements")
      ->type_name("DIR");
  app.add_option("--target", flags->target,
                 "device that will serve: gaudi2, gaudi3 or generic; else device_for_scales")
      ->type_name("DEVICE");
  app.add_option("--arithmetic", flags->arithmetic,
                 "inc: rounded at every step as INC rounds; exact: not")
      ->type_name("inc|exact")
      ->capture_default_str();
  app.add_option("--no-data", flags->no_data,
                 "of a maximum of 0. borrow: the largest of its siblings; as-inc: taken as 0")
      ->type_name("borrow|as-inc")
      ->capture_default_str();
  declare_placement_flags(app, flags->run);
  return [flags](Session& session) { return run(session, *flags); };
}

}  // namespace verb_scales

Verb scales_verb() {
  return {"scales", "FP8 scales of measured ranges, as Intel Neural Compressor writes them",
          "  whit scales MODEL --config maxabs_quant_g3.json\n"
          "  whit scales MODEL --config quant.json --measurements g3 --out scales --json\n",
          verb_scales::declare};
}

}  // namespace whit::cli
