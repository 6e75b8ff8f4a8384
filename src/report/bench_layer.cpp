#include "report/bench_layer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "pipeline/run.h"
#include "report/metered_backend.h"
#include "report/synthetic_checkpoint.h"

namespace whit::report {

namespace fs = std::filesystem;

namespace {

constexpr double kNoSeconds = std::numeric_limits<double>::quiet_NaN();

constexpr int kMoeLayers = 58;  // of DeepSeek-V3
constexpr int kDenseLayers = 3;

BenchRow row_of(const std::string& name, const Metered& did, const compute::Limits& limits) {
  BenchRow row;
  row.name = name;
  const double computing = did.flops / limits.flops;
  const double moving = did.bytes / limits.bytes_per_second;
  const bool computes = computing > moving;
  row.work = (computes ? did.flops : did.bytes) / kGiga;
  row.unit = computes ? "GFLOP" : "GB";
  row.floor_seconds = std::max(computing, moving);
  if (name == "upload" || name == "download")
    row.floor_seconds = std::numeric_limits<double>::quiet_NaN();  // by way of the host
  row.seconds = did.seconds;
  row.note = fmt::format("{} calls", did.calls);
  return row;
}

// Leaves the checkpoint of this config in `folder`, unless it lies there already.
void prepare(const fs::path& folder, const nlohmann::json& config) {
  if (fs::exists(folder / "config.json") &&
      base::read_text_file(folder / "config.json") == config.dump(2))
    return;
  fs::remove_all(folder);
  write_synthetic_checkpoint(config, folder, 1);
}

}  // namespace

BenchTable bench_layer(compute::Backend& backend, const LayerBenchArgs& args,
                       base::EventSink& events, const base::CancelToken& cancel) {
  const auto config = layer_config(args.arch, args.dense, args.experts);
  const fs::path source = args.folder / "checkpoint", output = args.folder / "output";
  prepare(source, config);
  fs::remove_all(output);
  pipeline::Recipe recipe = args.recipe;
  const std::int64_t sequences = base::ceil_div(args.tokens, args.length);
  recipe.calibration = args.folder / "ids.jsonl";
  recipe.samples.samples = sequences;
  recipe.samples.max_length = args.length;
  write_random_ids(recipe.calibration, sequences, args.length, config.at("vocab_size"), 2);

  Meter meter;
  const auto metered = make_metered(backend, meter);
  const auto checkpoint = checkpoint::Checkpoint::open(source);
  const auto before = backend.memory().available();
  const pipeline::RunArgs job{recipe, output, pipeline::ExistingOutput::kRefuse};
  const auto result =
      pipeline::run(checkpoint, job, args.metered ? *metered : backend, events, cancel);
  fs::remove_all(output);

  BenchTable table;
  table.title =
      fmt::format("{} layer of {}{}: {} tokens in sequences of {}", args.dense ? "dense" : "one",
                  args.arch, args.experts > 0 ? fmt::format(" with {} experts", args.experts) : "",
                  sequences * args.length, args.length);
  table.machine = fmt::format(
      "{}; peak {:.1f} GFLOP/s, memory {:.1f} GB/s; {} free before, at most {} of the device and "
      "{} of the host held",
      backend.name(), args.limits.flops / kGiga, args.limits.bytes_per_second / kGiga,
      base::format_bytes(before), base::format_bytes(backend.memory().peak()),
      base::format_bytes(base::peak_resident_bytes()));
  double known = 0;
  double floors = 0;
  for (const auto& [name, did] : meter.functions()) {
    table.rows.push_back(row_of(name, did, args.limits));
    known += did.seconds;
    if (table.rows.back().floor_seconds > 0) floors += table.rows.back().floor_seconds;
  }
  std::sort(table.rows.begin(), table.rows.end(),
            [](const BenchRow& a, const BenchRow& b) { return a.seconds > b.seconds; });
  const auto tokens = static_cast<double>(sequences * args.length);
  const auto plain = [&](std::string name, double floor, double seconds, std::string note) {
    BenchRow row;
    row.name = std::move(name);
    row.work = tokens;
    row.unit = "tokens";
    row.floor_seconds = floor;
    row.seconds = seconds;
    row.note = std::move(note);
    table.rows.push_back(std::move(row));
  };
  if (args.metered)
    plain("files, packing, host", kNoSeconds, result.seconds - known, "what is left");
  else
    floors = kNoSeconds;
  plain("layer", floors, result.seconds, "embedding and head included");
  if (args.arch == "deepseek_v3" && !args.dense && args.experts == 0)
    plain("the model's mixtures", kMoeLayers * floors, kMoeLayers * result.seconds,
          fmt::format("{} such layers; {} dense ones come on top", kMoeLayers, kDenseLayers));
  return table;
}

}  // namespace whit::report
