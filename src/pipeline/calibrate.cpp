#include "pipeline/calibrate.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "formats/inc_config.h"
#include "formats/inc_measurement.h"

namespace whit::pipeline {

namespace fs = std::filesystem;

namespace {

using base::ErrorKind;
using base::fail;
using OrderedJson = nlohmann::ordered_json;

constexpr const char* kFilePrefix = "inc_output";

// What the script leaves in high precision, by the beginning of the model's name.
struct ModelRule {
  std::string_view beginning;
  std::vector<std::string> blocked;
  std::string scale_format;  // empty: the engine's
  bool expert_parallel = false;
};

const ModelRule& rule_of(const std::string& name) {
  static const std::vector<ModelRule> kRules{
      {"mixtral", {"self_attn", "lm_head"}, "CONST", false},
      {"deepseek", {"lm_head", "mlp\\.gate\\b"}, "scalar", true},
      {"granite-4", {"mamba", "self_attn"}, "", false},
      {"", {}, "", false}};
  for (const auto& rule : kRules)
    if (name.starts_with(rule.beginning)) return rule;
  return kRules.back();
}

OrderedJson common_config(const ModelRule& rule, const fs::path& stats) {
  const OrderedJson lists{{"types", OrderedJson::array()}, {"names", rule.blocked}};
  return {{"observer", "maxabs"},
          {"allowlist", {{"types", OrderedJson::array()}, {"names", OrderedJson::array()}}},
          {"blocklist", lists},
          {"dump_stats_path", stats.string()}};
}

OrderedJson measure_config(const ModelRule& rule, const fs::path& stats) {
  OrderedJson config = OrderedJson::object();
  config["mode"] = "MEASURE";
  config.update(common_config(rule, stats));
  config["measure_exclude"] = "OUTPUT";
  config["calibration_sample_interval"] = 1;
  return config;
}

OrderedJson quant_config(const CalibrateJob& job, const ModelRule& rule, const fs::path& stats) {
  OrderedJson config = OrderedJson::object();
  config["mode"] = "QUANTIZE";
  config.update(common_config(rule, stats));
  config["scale_method"] = job.scale_method;
  if (!rule.scale_format.empty()) config["scale_format"] = rule.scale_format;
  config["device_for_scales"] = std::string(scheme::name_of(job.device));
  return config;
}

// Every rank gets the whole: parts of a tensor reach no further, and then all scale alike.
std::vector<fs::path> copy_for_ranks(const formats::IncRun& from, const fs::path& out, int ranks) {
  const auto measured = formats::read_measurements(from);
  formats::IncRun target = from;
  target.folder = out;
  target.world = ranks;
  base::ensure_writable_directory(out);
  const auto modules = formats::read_mod_list(from, 0).value_or(std::vector<std::string>());
  std::vector<fs::path> files;
  for (int rank = 0; rank < ranks; ++rank) {
    auto measurement = measured.front();
    measurement.ranges.rank = rank;
    measurement.ranges.world = ranks;
    for (auto& path : formats::write_inc_files(target, rank, formats::to_tree(measurement, rank)))
      files.push_back(std::move(path));
    files.push_back(formats::write_mod_list(target, rank, modules));
  }
  return files;
}

std::vector<fs::path> share_out(const CalibrateJob& job, const CalibrateResult& result,
                                const fs::path& folder, base::CancelToken& cancel) {
  const auto& run = result.measured.run;
  if (!result.expert_parallel) return copy_for_ranks(run, folder, job.ranks);
  ExpandJob expand;
  expand.measurements = run.folder;
  expand.query = {run.prefix, run.observer, 1};
  expand.ranks = job.ranks;
  expand.out = folder;
  return expand_measurements(expand, cancel);
}

// Of several ranks earlier files would be taken for this run's.
void check_empty(const fs::path& folder, bool overwrite) {
  if (!fs::exists(folder) || fs::is_empty(folder)) return;
  if (!overwrite)
    fail(ErrorKind::kUsage, "--out", "{} is not empty; expected an empty folder, or --overwrite",
         folder.string());
  for (const auto& entry : fs::directory_iterator(folder))
    if (formats::parse_inc_file_name(entry.path().filename().string())) fs::remove(entry.path());
}

void add_files(std::vector<fs::path>& files, const std::vector<fs::path>& more) {
  files.insert(files.end(), more.begin(), more.end());
}

}  // namespace

std::string short_name(scheme::Fp8Device device) {
  if (device == scheme::Fp8Device::kGaudi2) return "g2";
  if (device == scheme::Fp8Device::kGaudi3) return "g3";
  fail(ErrorKind::kUnsupported, "--target", "a device that is no Gaudi; expected gaudi2 or gaudi3");
}

CalibrateResult calibrate(const CalibrateJob& job, compute::Backend& backend,
                          base::EventSink& events, base::CancelToken& cancel) {
  CalibrateResult result;
  const std::string device = short_name(job.device);
  const ModelRule& rule = rule_of(job.model_name);
  result.output = fs::absolute(job.out) / job.model_name;
  result.expert_parallel = job.expert_parallel || rule.expert_parallel;
  const fs::path served = result.output / device;
  const fs::path measured = job.ranks == 1 ? served : result.output / (device + "_measured");
  const Ranks ranks(job.communicator);
  if (ranks.is_root()) {
    base::ensure_writable_directory(result.output);
    check_empty(served, job.overwrite);
    if (measured != served) check_empty(measured, job.overwrite);
  }

  const fs::path measure_file = result.output / fmt::format("maxabs_measure_{}.json", device);
  const fs::path quant_file = result.output / fmt::format("maxabs_quant_{}.json", device);
  const fs::path stats = served / kFilePrefix;
  if (ranks.is_root()) {
    base::write_file_atomic(measure_file, measure_config(rule, stats).dump(4) + "\n");
    base::write_file_atomic(quant_file, quant_config(job, rule, stats).dump(4) + "\n");
    result.files = {measure_file, quant_file};
  }
  ranks.barrier();

  MeasureJob measure_job;
  measure_job.model = job.model;
  measure_job.config =
      formats::parse_inc_config(measure_config(rule, stats), measure_file.string());
  measure_job.config_subject = measure_file.string();
  measure_job.out = measured;
  measure_job.prefix = kFilePrefix;
  measure_job.calibration = job.calibration;
  measure_job.samples = job.samples;
  measure_job.max_memory_bytes = job.max_memory_bytes;
  measure_job.ranks = job.communicator;
  result.measured = measure(measure_job, backend, events, cancel);
  add_files(result.files, result.measured.files);
  if (!ranks.is_root()) return result;
  if (job.ranks > 1) add_files(result.files, share_out(job, result, served, cancel));

  ScalesJob scales;
  scales.model = job.model;
  scales.config = quant_file;
  scales.measurements = served;
  scales.device = job.device;
  scales.placement =
      result.expert_parallel ? stats::ExpertPlacement::kExpert : stats::ExpertPlacement::kTensor;
  result.scales = write_scales(scales, cancel);
  add_files(result.files, result.scales.files);
  return result;
}

}  // namespace whit::pipeline
