#include "pipeline/inc_jobs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "formats/inc_modules.h"

namespace whit::pipeline {

namespace fs = std::filesystem;

namespace {

using base::ErrorKind;
using base::fail;
using formats::IncMeasurement;
using formats::IncRun;

// Files of one run for two numbers of ranks in one folder would be taken for one another.
void prepare_folder(const fs::path& out, const IncRun& run) {
  base::ensure_writable_directory(out);
  std::set<int> others;
  for (const auto& entry : fs::directory_iterator(out)) {
    const auto name = formats::parse_inc_file_name(entry.path().filename().string());
    if (!name || name->prefix != run.prefix || name->observer != run.observer) continue;
    const int world = name->rank ? name->rank->world : 0;
    if (world != run.world) others.insert(world);
  }
  if (others.empty()) return;
  fail(ErrorKind::kUsage, "--out",
       "{} holds files of {} for {} ranks; expected a folder without them", out.string(),
       run.prefix, fmt::join(others, " and "));
}

// Modules of a rank's files, as written, then those of the sources that were not measured.
std::vector<std::string> modules_of(const formats::IncTree& tree,
                                    const std::vector<std::string>& listed) {
  std::vector<std::string> modules;
  std::set<std::string> known;
  for (const auto& [module, node] : *tree.find("Nodes")->dict()) {
    modules.push_back(module);
    known.insert(module);
  }
  for (const auto& module : listed)
    if (!formats::parse_expert_matrix(module) && known.insert(module).second)
      modules.push_back(module);
  return modules;
}

std::vector<std::string> listed_modules(const IncRun& run) {
  std::vector<std::string> modules;
  for (int rank = 0; rank < run.world; ++rank)
    if (const auto list = formats::read_mod_list(run, rank))
      modules.insert(modules.end(), list->begin(), list->end());
  return modules;
}

void write_rank(const IncRun& run, const IncMeasurement& measurement,
                std::optional<std::int64_t> local_rank, const std::vector<std::string>& listed,
                std::vector<fs::path>& files) {
  const int rank = measurement.ranges.rank;
  const auto tree = formats::to_tree(measurement, local_rank);
  for (auto& path : formats::write_inc_files(run, rank, tree)) files.push_back(std::move(path));
  files.push_back(formats::write_mod_list(run, rank, modules_of(tree, listed)));
}

void unify_scale_files(const IncRun& from, const IncRun& to, stats::ExpertPlacement placement,
                       UnifyResult& result) {
  for (const auto& run : formats::find_scale_files(from)) {
    IncRun target = to;
    target.method = run.method;
    try {
      std::vector<formats::IncScaleFile> ranks;
      for (int rank = 0; rank < run.world; ++rank)
        ranks.push_back(formats::read_scale_file(formats::read_inc_file(run, rank),
                                                 run.path(rank, "json").string()));
      const auto unified =
          formats::unify_scales(ranks, to.world, placement, run.path(0, "json").string());
      for (int rank = 0; rank < to.world; ++rank)
        for (auto& path : formats::write_inc_files(
                 target, rank, formats::to_tree(unified[static_cast<std::size_t>(rank)])))
          result.files.push_back(std::move(path));
    } catch (const base::Error& error) {
      if (error.kind() != ErrorKind::kUnsupported) throw;
      result.warnings.push_back(fmt::format("scales of {} left out: {}", run.method, error.what()));
    }
  }
}

stats::PlacementFinding placement_of(const std::vector<stats::RankRanges>& ranks,
                                     std::optional<stats::ExpertPlacement> given) {
  if (given) return {*given, "as the command says", true};
  return stats::find_placement(ranks);
}

// The run of measurements that a config means.
IncRun find_run(const ScalesJob& job, const formats::IncConfig& config) {
  formats::IncRunQuery query = job.query;
  query.observer = config.observer;
  const bool has_path =
      config.dump_stats_path && fs::path(*config.dump_stats_path).has_parent_path();
  const std::string prefix =
      has_path ? fs::path(*config.dump_stats_path).filename().string() : std::string();
  if (job.measurements) {
    // Named folders may hold the run under another prefix than the config's.
    if (query.prefix.empty() && !prefix.empty()) {
      auto own = query;
      own.prefix = prefix;
      try {
        return formats::find_measurements(*job.measurements, own);
      } catch (const base::Error& error) {
        const auto name = fs::path(error.subject()).filename().string();
        if (formats::parse_inc_file_name(name) || !fs::is_directory(*job.measurements)) throw;
      }
    }
    return formats::find_measurements(*job.measurements, query);
  }
  const auto path = formats::resolve_dump_path(config, job.config);
  if (query.prefix.empty()) query.prefix = path.prefix;
  std::vector<std::string> tried;
  for (const auto& folder : path.folders) {
    tried.push_back(folder.string());
    if (!fs::is_directory(folder)) continue;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const auto name = formats::parse_inc_file_name(entry.path().filename().string());
      if (name && name->prefix == query.prefix && name->method.empty() && !name->mod_list)
        return formats::find_measurements(folder, query);
    }
  }
  fail(ErrorKind::kInput, job.config.string() + ": dump_stats_path",
       "no files {}_hooks_{}... in {}; expected measurements there, or --measurements",
       query.prefix, query.observer, fmt::join(tried, ", "));
}

IncRun scales_run(const ScalesJob& job, const formats::IncConfig& config, const IncRun& run) {
  IncRun out = run;
  out.method = config.method_name;
  if (config.dump_stats_path) out.prefix = fs::path(*config.dump_stats_path).filename().string();
  if (job.out) out.folder = *job.out;
  return out;
}

struct Source {
  IncRun run;
  std::vector<IncMeasurement> ranks;
  std::vector<std::vector<std::string>> mod_lists;
};

Source read_source(const ScalesJob& job, const formats::IncConfig& config,
                   const checkpoint::Checkpoint& checkpoint) {
  Source source;
  const bool asked = job.measurements || config.needs_measurements();
  if (!asked) {
    source.ranks.push_back(unmeasured_modules(checkpoint));
    source.mod_lists.emplace_back();
    source.run.prefix = "scales";
    source.run.suffixed = false;
    source.run.observer = config.observer;
    if (job.out) {
      source.run.folder = *job.out;
    } else if (!config.dynamic_quantization) {
      source.run.folder = formats::resolve_dump_path(config, job.config).folders.front();
    }
    return source;
  }
  source.run = find_run(job, config);
  source.ranks = formats::read_measurements(source.run);
  for (int rank = 0; rank < source.run.world; ++rank)
    source.mod_lists.push_back(
        formats::read_mod_list(source.run, rank).value_or(std::vector<std::string>()));
  return source;
}

// Experts of jobs that kept them whole get the layer's numbers, under which the checkpoint has
// them.
void number_sources(Source& source, std::optional<stats::ExpertPlacement> given,
                    std::vector<std::string>& warnings) {
  if (source.ranks.size() < 2) return;
  std::vector<stats::RankRanges> ranges;
  for (auto& rank : source.ranks) ranges.push_back(std::move(rank.ranges));
  const auto finding = placement_of(ranges, given);
  if (finding.placement == stats::ExpertPlacement::kExpert) stats::number_experts(ranges);
  if (finding.experts && !given)
    warnings.push_back(fmt::format("ranks are taken to {} ({})",
                                   finding.placement == stats::ExpertPlacement::kExpert
                                       ? "hold different experts"
                                       : "share each expert",
                                   finding.reason));
  for (std::size_t i = 0; i < ranges.size(); ++i) source.ranks[i].ranges = std::move(ranges[i]);
}

}  // namespace

UnifyResult unify_measurements(const UnifyJob& job, base::CancelToken& cancel) {
  const IncRun run = formats::find_measurements(job.measurements, job.query);
  IncRun target = run;
  target.folder = job.out;
  target.world = job.ranks;
  target.suffixed = true;
  auto measurements = formats::read_measurements(run);
  std::vector<stats::RankRanges> ranges;
  IncMeasurement out;
  for (auto& measurement : measurements) {
    if (measurement.samples) out.samples = std::max(out.samples.value_or(0), *measurement.samples);
    ranges.push_back(std::move(measurement.ranges));
  }
  UnifyResult result;
  result.world = run.world;
  result.placement = placement_of(ranges, job.placement);
  if (result.placement.experts && !job.placement)
    result.warnings.push_back(
        fmt::format("ranks are taken to {} ({})",
                    result.placement.placement == stats::ExpertPlacement::kExpert
                        ? "hold different experts, numbered one rank after the other"
                        : "share each expert",
                    result.placement.reason));
  auto unified = stats::unify(std::move(ranges), job.ranks, result.placement.placement);
  prepare_folder(job.out, target);
  const auto listed = listed_modules(run);
  for (auto& rank : unified.ranks) {
    cancel.throw_if_cancelled();
    if (job.link_caches)
      for (auto& name : stats::link_caches(rank)) result.linked.push_back(std::move(name));
    const std::int64_t local = job.ranks == 1 ? -1 : rank.rank;
    out.ranges = std::move(rank);
    write_rank(target, out, local, listed, result.files);
  }
  if (job.scales) unify_scale_files(run, target, result.placement.placement, result);
  result.incomplete = std::move(unified.incomplete);
  result.unseen = std::move(unified.unseen);
  return result;
}

std::vector<fs::path> expand_measurements(const ExpandJob& job, base::CancelToken& cancel) {
  formats::IncRunQuery query = job.query;
  query.world = 1;
  const IncRun run = formats::find_measurements(job.measurements, query);
  IncRun target = run;
  target.folder = job.out;
  target.world = job.ranks;
  target.suffixed = true;
  auto measurements = formats::read_measurements(run);
  auto ranks = stats::expand(measurements.front().ranges, job.ranks);
  prepare_folder(job.out, target);
  const auto listed = listed_modules(run);
  std::vector<fs::path> files;
  for (auto& rank : ranks) {
    cancel.throw_if_cancelled();
    const int local = rank.rank;
    write_rank(target, {std::move(rank), measurements.front().samples}, local, listed, files);
  }
  return files;
}

ScalesResult write_scales(const ScalesJob& job, base::CancelToken& cancel) {
  IncScalesArgs args;
  args.config = formats::read_inc_config(job.config);
  args.config_subject = job.config.string();
  if (args.config.mode != formats::IncMode::kQuantize)
    fail(ErrorKind::kInput, args.config_subject + ": mode",
         "not QUANTIZE; expected it, for scales to be derived");
  args.device = formats::device_for_scales(args.config, job.device, args.config_subject);
  args.arithmetic = job.arithmetic;
  args.no_data = job.no_data;
  ScalesResult result;
  result.method = args.config.method_name;
  result.device = args.device;
  result.device_named = job.device.has_value() || args.config.device_for_scales.has_value();
  result.scale_format = args.config.scale_format;
  result.warnings = args.config.warnings;

  const auto checkpoint = checkpoint::Checkpoint::open(job.model, false);
  Source source = read_source(job, args.config, checkpoint);
  number_sources(source, job.placement, result.warnings);
  const IncRun out = scales_run(job, args.config, source.run);
  const bool writes = !args.config.dynamic_quantization;
  if (writes) base::ensure_writable_directory(out.folder);
  for (std::size_t i = 0; i < source.ranks.size(); ++i) {
    auto scales = derive_scales(checkpoint, source.ranks[i], source.mod_lists[i], args, cancel);
    const int rank = static_cast<int>(i);
    if (out.suffixed) scales.file.local_rank = rank;
    if (writes)
      for (auto& path : formats::write_inc_files(out, rank, formats::to_tree(scales.file)))
        result.files.push_back(std::move(path));
    result.ranks.push_back(std::move(scales));
  }
  if (!writes)
    result.warnings.emplace_back(
        "no files: activations are scaled at run time, and INC keeps no scales of weights then");
  return result;
}

}  // namespace whit::pipeline
