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
#include "formats/packed_reader.h"
#include "model/forward.h"
#include "model/inventory.h"
#include "model/shares.h"
#include "pipeline/activation_file.h"
#include "pipeline/calibration_sequences.h"
#include "pipeline/inc_layout.h"
#include "pipeline/measure_memory.h"
#include "pipeline/tensor_files.h"
#include "pipeline/tensor_observer.h"

namespace whit::pipeline {

namespace fs = std::filesystem;

using base::ErrorKind;
using base::fail;

namespace {

// A config in mode SHAPE has no other observer.
std::string observer_of(const formats::IncConfig& config) {
  return config.mode == formats::IncMode::kShape ? "shape" : config.observer;
}

bool takes_tensors(const formats::IncConfig& config) {
  return observer_of(config) == "save" || observer_of(config) == "shape";
}

void check_config(const MeasureJob& job) {
  if (job.config.mode != formats::IncMode::kMeasure && job.config.mode != formats::IncMode::kShape)
    fail(ErrorKind::kInput, job.config_subject + ": mode",
         "not MEASURE; expected it (or SHAPE), for tensors to be measured");
  if (takes_tensors(job.config) && job.ranks != nullptr && job.ranks->size() > 1)
    fail(ErrorKind::kUnsupported, job.config_subject + ": observer",
         "{} on {} ranks; expected one process", observer_of(job.config), job.ranks->size());
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

template <typename Observer>
std::vector<ExpertTokens> expert_tokens(const IncLayout& layout, const Observer& seen) {
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

void write_files(const MeasureJob& job, const IncLayout& layout, const formats::IncTree& tree,
                 MeasureResult& result) {
  result.files = formats::write_inc_files(result.run, 0, tree);
  result.files.push_back(formats::write_mod_list(result.run, 0, layout.modules()));
  // No JSON: INC's scripts count those.
  const auto stem = result.run.path(0, "json").stem().string();
  result.files.push_back(job.out / (stem + "_tokens.csv"));
  base::write_file_atomic(result.files.back(), tokens_csv(layout, result));
}

// Saved tensors of an earlier run would be taken for this one's.
void prepare_tensors(const MeasureJob& job, const fs::path& folder) {
  base::ensure_writable_directory(folder);
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".pt") continue;
    if (!job.overwrite)
      fail(ErrorKind::kUsage, "--out", "{} holds {}; expected no .pt files, or --overwrite",
           folder.string(), entry.path().filename().string());
    fs::remove(entry.path());
  }
}

// Watches one forward and writes what was seen of it.
class Measuring {
 public:
  Measuring(const MeasureJob& job, const IncLayout& layout, const WatchedForward& forward,
            base::EventSink& events, const base::CancelToken& cancel, MeasureResult& result)
      : job_(job),
        layout_(layout),
        forward_(forward),
        events_(events),
        cancel_(cancel),
        result_(result) {}

  void maxima() {
    MaximaObserver observer(forward_.backend, layout_.wanted());
    watch(observer);
    observer.merge(forward_.ranks);
    report(observer);
    if (!forward_.ranks.is_root()) return;
    formats::IncMeasurement measurement;
    measurement.ranges = layout_.ranges(observer);
    measurement.samples = result_.samples;
    write_files(job_, layout_, formats::to_tree(measurement, local_rank()), result_);
  }

  void tensors() {
    const bool save = observer_of(job_.config) == "save";
    const fs::path folder = save ? job_.out / "tensors" : fs::path();
    if (save) prepare_tensors(job_, folder);
    TensorFiles files(folder, job_.config.hp_dtype, forward_.weights);
    TensorObserver observer(forward_.backend, layout_, forward_.sequences, save,
                            [&](const ObservedTensor& seen) { files.take(seen); });
    watch(observer);
    report(observer);
    const bool shape_mode = job_.config.mode == formats::IncMode::kShape;
    const auto tree = formats::observed_tree(
        files.nodes(layout_), shape_mode ? "Shape" : "DynamicRange", result_.samples, local_rank());
    write_files(job_, layout_, tree, result_);
    if (save) result_.files.push_back(folder);
  }

 private:
  void watch(model::Observer& observer) {
    const auto start = std::chrono::steady_clock::now();
    const auto after = [&](std::int64_t done, std::int64_t total) {
      cancel_.throw_if_cancelled();
      events_.emit({"progress",
                    {{"stage", std::string("measuring")},
                     {"done", static_cast<double>(done)},
                     {"total", static_cast<double>(total)},
                     {"unit", std::string("layers")}}});
      base::trim_heap();
    };
    forward_.run(&observer, after);
    if (observer.wants_weight(forward_.spec.head)) forward_.watch_head(observer);
    if (forward_.mtp) forward_.run_mtp(observer, after);
    result_.forward_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  template <typename Observer>
  void report(const Observer& observer) {
    result_.experts = expert_tokens(layout_, observer);
    report_unseen(result_);
    for (const auto& warning : result_.warnings) events_.emit({"warning", {{"text", warning}}});
  }

  std::optional<std::int64_t> local_rank() const {
    return result_.run.suffixed ? std::optional<std::int64_t>(0) : std::nullopt;
  }

  const MeasureJob& job_;
  const IncLayout& layout_;
  const WatchedForward& forward_;
  base::EventSink& events_;
  const base::CancelToken& cancel_;
  MeasureResult& result_;
};

}  // namespace

void WatchedForward::run(model::Observer* observer, const After& after) const {
  const auto runner = model::make_plain_runner(backend, weights, nullptr, observer);
  model::ForwardContext context{backend, weights, store, sequences, *runner, nullptr, observer};
  context.ranks = ranks.get();
  const auto count = static_cast<std::int64_t>(spec.layers.size());
  const auto total = count + (mtp ? static_cast<std::int64_t>(spec.mtp_layers.size()) : 0);
  model::forward_embedding(context, spec);
  for (std::int64_t i = 0; i < count; ++i) {
    model::forward_layer(context, spec.layers[static_cast<std::size_t>(i)]);
    after(i + 1, total);
  }
  if (observer != nullptr) observer->settle();
}

void WatchedForward::run_mtp(model::Observer& observer, const After& after) const {
  const auto runner = model::make_plain_runner(backend, weights, nullptr, &observer);
  model::ForwardContext context{backend, weights, store, sequences, *runner, nullptr, &observer};
  context.ranks = ranks.get();
  auto done = static_cast<std::int64_t>(spec.layers.size());
  const auto total = done + static_cast<std::int64_t>(spec.mtp_layers.size());
  for (const auto& layer : spec.mtp_layers) {
    model::forward_mtp_layer(context, spec, layer);
    if (layer.mtp->head && observer.wants_weight(*layer.mtp->head))
      watch_head(observer, *layer.mtp->head, [&](const model::Tile& tile) {
        return model::forward_mtp_head_input(context, layer, tile.first_row, tile.rows);
      });
    after(++done, total);
  }
  observer.settle();
}

void WatchedForward::watch_head(model::Observer& observer) const {
  const auto runner = model::make_plain_runner(backend, weights);
  model::ForwardContext context{backend, weights, store, sequences, *runner};
  watch_head(observer, spec.head, [&](const model::Tile& tile) {
    return model::forward_head_input(context, spec, tile.first_row, tile.rows);
  });
  observer.settle();
}

void WatchedForward::watch_head(
    model::Observer& observer, const model::LinearSpec& linear,
    const std::function<tensor::Tensor(const model::Tile&)>& input) const {
  const model::WeightHandle head = weights.linear(linear);
  observer.weight(linear, head->matrix());
  const model::Shares shares(ranks.get(), sequences);
  // Logits are wide: few rows of them at once.
  constexpr std::int64_t kRows = 256;
  for (const std::size_t i : shares.own()) {
    const model::Tile& tile = shares.tiles()[i];
    const auto x = input(tile);
    model::Stage stage;
    stage.site = linear.reads;
    stage.width = x.shape()[1];
    for (std::int64_t row = 0; row < tile.rows; row += kRows) {
      stage.piece_rows.push_back(std::min(kRows, tile.rows - row));
      stage.piece_tokens.push_back(tile.first_row + row);
    }
    std::int64_t row = 0;
    for (const std::int64_t rows : stage.piece_rows) {
      const auto piece = x.matrix().rows_of(row, rows);
      row += rows;
      observer.input(stage, piece);
      if (!observer.wants_output(linear)) continue;
      tensor::Tensor y =
          backend.memory().allocate({rows, linear.out_features}, tensor::Dtype::kF32);
      backend.linalg().linear(piece, head->matrix(), nullptr, y.matrix());
      observer.output(linear, y.matrix());
    }
  }
}

MeasureResult measure(const MeasureJob& job, compute::Backend& backend, base::EventSink& events,
                      const base::CancelToken& cancel) {
  check_config(job);
  MeasureResult result;
  result.run = {job.out, job.prefix, observer_of(job.config), "", job.config.seperate_measure_files,
                1};
  const auto checkpoint = checkpoint::Checkpoint::open(job.model);
  const model::ModelSpec spec = model::load_spec(checkpoint);
  const bool mtp = job.mtp && !spec.mtp_layers.empty();
  if (!spec.mtp_layers.empty() && !mtp)
    events.emit({"note", {{"text", std::string("prediction layers are not measured")}}});
  const bool fp8 = formats::PackedReader(checkpoint).has_float8();
  const IncLayout layout(spec, fp8, job.config, job.config_subject, mtp);
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
  const WatchedForward forward{backend, spec, *weights, *store, sequences, ranks, mtp};
  Measuring measuring(job, layout, forward, events, cancel, result);
  if (takes_tensors(job.config))
    measuring.tensors();
  else
    measuring.maxima();
  return result;
}

}  // namespace whit::pipeline
