#include "report/bench_quality.h"

#include <fmt/format.h>

#include <memory>
#include <new>
#include <set>
#include <system_error>
#include <utility>

#include "base/memory.h"
#include "eval/evaluate.h"
#include "pipeline/run.h"
#include "runtime/weights.h"

namespace whit::report {

namespace {

namespace fs = std::filesystem;
using base::ErrorKind;

// Passes a row's events on: they say which row they are of, and steps of the row are not steps of
// the whole.
class RowEvents final : public base::EventSink {
 public:
  explicit RowEvents(base::EventSink& sink) : sink_(sink) {}

  void begin(const std::string& row, const std::string& stage) {
    row_ = row;
    stage_ = row + ": " + stage;
  }

  void emit(const base::Event& event) override {
    base::Event out = event;
    if (event.name == "progress") {
      std::erase_if(out.fields, [](const auto& field) { return field.first == "stage"; });
      out.fields.insert(out.fields.begin(), {"stage", stage_});
    } else if (event.name == "step") {
      out.name = "row_step";
    } else if (event.name == "warning" || event.name == "note") {
      for (auto& [name, value] : out.fields)
        if (auto* text = std::get_if<std::string>(&value); text != nullptr && name == "text") {
          if (event.name == "note" && !notes_.insert(*text).second) return;
          if (event.name == "warning") *text = row_ + ": " + *text;
        }
    }
    if (event.name != "progress") out.fields.emplace_back("row", row_);
    sink_.emit(out);
  }

 private:
  base::EventSink& sink_;
  std::string row_, stage_;
  std::set<std::string> notes_;  // said already
};

std::string title_of(const QualityJob& job) {
  return fmt::format("{}, {} bits", job.name, job.recipe.bits);
}

// Bits of codes, scales and zero points over the elements of the weights that were quantized.
double quantized_bits(const checkpoint::Checkpoint& output, const pipeline::Plan& plan) {
  double bytes = 0, elements = 0;
  for (const auto& name : output.names()) {
    const auto dot = name.rfind('.');
    if (dot == std::string::npos || !plan.bound.quantized.contains(name.substr(0, dot))) continue;
    const auto part = name.substr(dot + 1);
    if (part == "weight_packed" || part == "weight_scale" || part == "weight_zero_point")
      bytes += static_cast<double>(output.info(name).bytes);
  }
  for (const auto* layers : {&plan.spec.layers, &plan.spec.mtp_layers})
    for (const auto& layer : *layers)
      for (const auto* linear : model::linears_of(layer))
        if (plan.bound.quantizes(*linear))
          elements += static_cast<double>(linear->out_features * linear->in_features);
  return elements > 0 ? 8 * bytes / elements : kUnknown;
}

QualityScore score_of(const eval::EvalResult& result) {
  const auto& c = *result.comparison;
  QualityScore score;
  score.mean_kl_nats = c.mean_kl_nats;
  score.mean_kl_standard_error_nats = c.mean_kl_standard_error_nats;
  score.p99_kl_nats = c.p99_kl_nats;
  score.perplexity = result.perplexity;
  score.top1_agreement = c.top1_agreement;
  score.window_kl_nats = c.window_kl_nats;
  return score;
}

base::Error interrupted(const base::CancelToken& cancel) {
  return {ErrorKind::kInterrupted, "interrupted",
          fmt::format("stopped by signal {}", cancel.signal())};
}

// One table, from an opened model to its rows.
class Bench {
 public:
  Bench(compute::Backend& backend, const QualityArgs& args, base::EventSink& events,
        const base::CancelToken& cancel)
      : backend_(backend),
        args_(args),
        events_(events),
        row_events_(events),
        cancel_(cancel),
        model_(runtime::open_model(args.model)),
        weights_(runtime::make_stored_weights(model_.checkpoint, backend)) {}

  QualityTable run() {
    check_folders();
    plan_all();
    for (const auto& text : args_.texts)
      table_.texts.push_back({text.name, text.file.string(), 0, 0, kUnknown});
    make_references();
    for (std::size_t i = 0; i < args_.jobs.size(); ++i) run_row(i);
    table_.baseline = args_.baseline;
    compare_with_baseline(table_);
    return std::move(table_);
  }

 private:
  void check_folders() const {
    for (const auto& job : args_.jobs) {
      const fs::path folder = args_.work / folder_of(job);
      if (fs::exists(fs::symlink_status(folder)))
        base::fail(ErrorKind::kUsage, folder.string(),
                   "exists; expected a --work folder without an earlier run's rows");
    }
  }

  // Refusals that need no work, before any is done.
  void plan_all() {
    bool any = false;
    for (const auto& job : args_.jobs) {
      QualityRowResult row;
      row.name = job.name;
      row.does = job.does;
      row.flags = job.flags;
      row.bits = job.recipe.bits;
      try {
        table_.parameters = pipeline::make_plan(model_.checkpoint, job.recipe)->parameters;
        any = true;
      } catch (const base::Error& error) {
        row.error = error;
      }
      table_.rows.push_back(std::move(row));
    }
    if (!any && !table_.rows.empty()) throw base::Error(*table_.rows.front().error);
  }

  void make_references() {
    for (const auto& text : args_.texts) {
      row_events_.begin("original", text.name);
      references_.push_back(std::make_unique<eval::Reference>(
          backend_, eval::EvalModel{&model_.spec, weights_.get()}, text.windows, args_.work,
          eval::EvalArgs{args_.max_memory_bytes}, row_events_, cancel_));
    }
  }

  void run_row(std::size_t index) {
    auto& row = table_.rows[index];
    const auto& job = args_.jobs[index];
    if (row.error) return report_failure(job, *row.error);
    if (cancel_.cancelled()) {
      row.error = interrupted(cancel_);
      return;
    }
    events_.emit({"step",
                  {{"name", title_of(job)},
                   {"index", static_cast<std::int64_t>(index)},
                   {"count", static_cast<std::int64_t>(args_.jobs.size())}}});
    const fs::path folder = args_.work / folder_of(job);
    try {
      quantize(job, folder, row);
      score(job, folder, row);
    } catch (const base::Error& error) {
      row.error = error;
    } catch (const std::bad_alloc&) {
      row.error = base::Error(ErrorKind::kResource, "memory",
                              "none is left; expected more, or a smaller --max-memory");
    } catch (const fs::filesystem_error& error) {
      row.error = base::Error(ErrorKind::kResource, error.path1().string(), error.code().message());
    }
    if (row.error) row.scores.clear();
    if (!args_.keep || row.error) {
      std::error_code ignored;  // the row's numbers hold without
      fs::remove_all(folder, ignored);
    }
    if (row.error && row.error->kind() != ErrorKind::kInterrupted)
      return report_failure(job, *row.error);
    if (!row.error) report_scores(row);
  }

  void quantize(const QualityJob& job, const fs::path& folder, QualityRowResult& row) {
    row_events_.begin(title_of(job), "quantizing");
    base::trim_heap();
    const bool peak_known = base::reset_peak_resident_bytes();
    // Opened anew, so that no page that another row has read counts as this row's memory.
    const auto source = checkpoint::Checkpoint::open(args_.model);
    const auto result =
        pipeline::run(source, {job.recipe, folder, pipeline::ExistingOutput::kRefuse}, backend_,
                      row_events_, cancel_);
    row.seconds = result.seconds;
    row.bits_per_weight = result.bits_per_weight;
    if (peak_known) row.peak_memory_bytes = static_cast<double>(result.peak_memory_bytes);
    row.warnings = result.warnings;
  }

  void score(const QualityJob& job, const fs::path& folder, QualityRowResult& row) {
    const auto student = runtime::open_model(folder);
    const auto plan = pipeline::make_plan(model_.checkpoint, job.recipe);
    row.bits_per_quantized_weight = quantized_bits(student.checkpoint, *plan);
    const auto weights = runtime::make_stored_weights(student.checkpoint, backend_);
    for (std::size_t t = 0; t < references_.size(); ++t) {
      row_events_.begin(title_of(job), args_.texts[t].name);
      const auto result = references_[t]->evaluate({&student.spec, weights.get()});
      row.scores.push_back(score_of(result));
      auto& text = table_.texts[t];
      text.tokens = result.tokens;
      text.windows = result.windows;
      text.perplexity = result.comparison->reference_perplexity;
    }
  }

  void report_failure(const QualityJob& job, const base::Error& error) {
    events_.emit({"warning", {{"text", fmt::format("{}: {}", title_of(job), error.what())}}});
  }

  void report_scores(const QualityRowResult& row) {
    base::Event event{
        "row", {{"row", row.name}, {"bits", std::int64_t{row.bits}}, {"seconds", row.seconds}}};
    for (std::size_t t = 0; t < row.scores.size(); ++t)
      event.fields.emplace_back("mean_kl_nats_" + table_.texts[t].name, row.scores[t].mean_kl_nats);
    events_.emit(event);
  }

  compute::Backend& backend_;
  const QualityArgs& args_;
  base::EventSink& events_;
  RowEvents row_events_;
  const base::CancelToken& cancel_;
  runtime::OpenModel model_;
  std::unique_ptr<model::WeightSource> weights_;
  std::vector<std::unique_ptr<eval::Reference>> references_;
  QualityTable table_;
};

}  // namespace

std::string folder_of(const QualityJob& job) {
  return fmt::format("{}-{}bit", job.name, job.recipe.bits);
}

QualityTable bench_quality(compute::Backend& backend, const QualityArgs& args,
                           base::EventSink& events, const base::CancelToken& cancel) {
  return Bench(backend, args, events, cancel).run();
}

}  // namespace whit::report
