#include "pipeline/measure.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "formats/inc_measurement.h"
#include "model/forward.h"
#include "model/inventory.h"
#include "model/shares.h"
#include "pipeline/activation_file.h"
#include "pipeline/calibration_sequences.h"
#include "pipeline/inc_layout.h"
#include "pipeline/measure_memory.h"

namespace whit::pipeline {

namespace fs = std::filesystem;

using base::ErrorKind;
using base::fail;

namespace {

void check_config(const MeasureJob& job) {
  if (job.config.mode != formats::IncMode::kMeasure)
    fail(ErrorKind::kInput, job.config_subject + ": mode",
         "not MEASURE; expected it, for ranges to be measured");
  if (job.config.observer != "maxabs" && job.config.observer != "maxabs_per_channel")
    fail(ErrorKind::kUnsupported, job.config_subject + ": observer",
         "{}; expected maxabs or maxabs_per_channel", job.config.observer);
}

// Files of the run itself are replaced only where that is asked for; those of the same run for
// other numbers of ranks would be taken for one another.
void prepare_measurements(const MeasureJob& job, const formats::IncRun& run) {
  base::ensure_writable_directory(job.out);
  for (const auto& entry : fs::directory_iterator(job.out)) {
    const auto name = formats::parse_inc_file_name(entry.path().filename().string());
    if (!name || name->prefix != run.prefix || name->observer != run.observer) continue;
    const formats::RankOf rank = name->rank.value_or(formats::RankOf{});
    const bool own = rank.world == 1 && name->rank.has_value() == run.suffixed;
    if (own && job.overwrite) {
      if (!name->method.empty()) fs::remove(entry.path());  // scales of what is replaced
      continue;
    }
    fail(ErrorKind::kUsage, "--out", "{} holds {}; expected {}", job.out.string(),
         entry.path().filename().string(),
         own ? "a folder without the run's files, or --overwrite"
             : "a folder without files of the same run for other ranks");
  }
}

bool stored_in_fp8(const checkpoint::Checkpoint& checkpoint) {
  const auto& names = checkpoint.names();
  return std::any_of(names.begin(), names.end(),
                     [](const std::string& name) { return name.ends_with(".weight_scale_inv"); });
}

std::vector<ExpertTokens> expert_tokens(const IncLayout& layout, const MaximaObserver& seen) {
  std::vector<ExpertTokens> layers;
  for (const IncNode& node : layout.nodes()) {
    if (node.kind != IncNode::Kind::kMixture) continue;
    ExpertTokens& layer = layers.emplace_back();
    layer.module = node.name;
    for (const auto& expert : std::get<model::MoeSpec>(node.layer->mlp).experts)
      layer.tokens.push_back(seen.rows(expert.in.front().reads));
  }
  return layers;
}

std::string tokens_csv(const IncLayout& layout, const MeasureResult& result) {
  std::string text = "module,expert,tokens\n";
  std::size_t mixture = 0;
  for (const IncNode& node : layout.nodes()) {
    if (node.kind != IncNode::Kind::kMixture || layout.selects(node))
      text += fmt::format("{},,{}\n", node.name, result.tokens);
    if (node.kind != IncNode::Kind::kMixture) continue;
    const auto& experts = result.experts.at(mixture++).tokens;
    for (std::size_t e = 0; e < experts.size(); ++e)
      text += fmt::format("{},{},{}\n", node.name, e, experts[e]);
  }
  return text;
}

void report_unseen(MeasureResult& result) {
  for (const auto& layer : result.experts) {
    std::vector<std::size_t> unseen;
    for (std::size_t e = 0; e < layer.tokens.size(); ++e)
      if (layer.tokens[e] == 0) {
        unseen.push_back(e);
        result.unseen.push_back({0, layer.module, static_cast<std::int64_t>(e)});
      }
    if (!unseen.empty())
      result.warnings.push_back(fmt::format("{}: no token of the calibration reached expert{} {}",
                                            layer.module, unseen.size() == 1 ? "" : "s",
                                            fmt::join(unseen, ", ")));
  }
}

void write_files(const MeasureJob& job, const IncLayout& layout, const MaximaObserver& seen,
                 MeasureResult& result) {
  formats::IncMeasurement measurement;
  measurement.ranges = layout.ranges(seen);
  measurement.samples = result.samples;
  const auto local = result.run.suffixed ? std::optional<std::int64_t>(0) : std::nullopt;
  result.files = formats::write_inc_files(result.run, 0, formats::to_tree(measurement, local));
  result.files.push_back(formats::write_mod_list(result.run, 0, layout.modules()));
  // No JSON: INC's scripts count those.
  const auto stem = result.run.path(0, "json").stem().string();
  result.files.push_back(job.out / (stem + "_tokens.csv"));
  base::write_file_atomic(result.files.back(), tokens_csv(layout, result));
}

}  // namespace

void WatchedForward::run(MaximaObserver* observer,
                         const std::function<void(std::int64_t, std::int64_t)>& after) const {
  const auto runner = model::make_plain_runner(backend, weights, nullptr, observer);
  model::ForwardContext context{backend, weights, store, sequences, *runner, nullptr, observer};
  context.ranks = ranks.get();
  const auto total = static_cast<std::int64_t>(spec.layers.size());
  model::forward_embedding(context, spec);
  for (std::int64_t i = 0; i < total; ++i) {
    model::forward_layer(context, spec.layers[static_cast<std::size_t>(i)]);
    after(i + 1, total);
  }
}

void WatchedForward::watch_head(MaximaObserver& observer) const {
  const auto runner = model::make_plain_runner(backend, weights);
  model::ForwardContext context{backend, weights, store, sequences, *runner};
  const model::WeightHandle head = weights.linear(spec.head);
  if (observer.wants_weight(spec.head)) observer.weight(spec.head, head->matrix());
  const model::Shares shares(ranks.get(), sequences);
  for (const std::size_t i : shares.own()) {
    const model::Tile& tile = shares.tiles()[i];
    const auto x = model::forward_head_input(context, spec, tile.first_row, tile.rows);
    observer.watch_input(spec.head.reads, x.matrix());
    if (!observer.wants_output(spec.head)) continue;
    constexpr std::int64_t kRows = 256;
    for (std::int64_t row = 0; row < tile.rows; row += kRows) {
      const std::int64_t rows = std::min(kRows, tile.rows - row);
      tensor::Tensor y = backend.memory().allocate({rows, spec.vocabulary}, tensor::Dtype::kF32);
      backend.linalg().linear(x.matrix().rows_of(row, rows), head->matrix(), nullptr, y.matrix());
      observer.output(spec.head, y.matrix());
    }
  }
}

MeasureResult measure(const MeasureJob& job, compute::Backend& backend, base::EventSink& events,
                      const base::CancelToken& cancel) {
  check_config(job);
  MeasureResult result;
  result.run = {job.out, job.prefix, job.config.observer, "", job.config.seperate_measure_files, 1};
  const auto checkpoint = checkpoint::Checkpoint::open(job.model);
  const model::ModelSpec spec = model::load_spec(checkpoint);
  if (!spec.mtp_layers.empty())
    events.emit({"note", {{"text", std::string("prediction layers are not measured")}}});
  const IncLayout layout(spec, stored_in_fp8(checkpoint), job.config, job.config_subject);
  const auto sequences = draw_sequences(checkpoint.folder(), job.calibration, job.samples,
                                        spec.vocabulary, events, result.warnings);
  result.samples = sequences.count();
  result.tokens = sequences.tokens();
  const Ranks ranks(job.ranks);
  if (ranks.is_root()) prepare_measurements(job, result.run);
  ranks.barrier();
  result.spilled = spills(spec, result.tokens, job.max_memory_bytes);
  if (result.spilled) base::ensure_writable_directory(job.out);
  const auto store =
      result.spilled ? make_file_store(backend, job.out) : model::make_memory_store(backend);
  const auto weights = model::make_checkpoint_weights(checkpoint, backend);

  MaximaObserver observer(backend, layout.wanted());
  const WatchedForward forward{backend, spec, *weights, *store, sequences, ranks};
  const auto start = std::chrono::steady_clock::now();
  forward.run(&observer, [&](std::int64_t done, std::int64_t total) {
    cancel.throw_if_cancelled();
    events.emit({"progress",
                 {{"stage", std::string("measuring")},
                  {"done", static_cast<double>(done)},
                  {"total", static_cast<double>(total)},
                  {"unit", std::string("layers")}}});
    base::trim_heap();
  });
  if (observer.wants_weight(spec.head)) forward.watch_head(observer);
  observer.merge(ranks);
  result.forward_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.experts = expert_tokens(layout, observer);
  report_unseen(result);
  for (const auto& warning : result.warnings) events.emit({"warning", {{"text", warning}}});
  if (ranks.is_root()) write_files(job, layout, observer, result);
  return result;
}

}  // namespace whit::pipeline
