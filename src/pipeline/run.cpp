#include "pipeline/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "model/forward.h"
#include "pipeline/activation_file.h"
#include "pipeline/cache_maxima.h"
#include "pipeline/calibrating_runner.h"
#include "pipeline/calibration_sequences.h"
#include "pipeline/carry_over.h"
#include "pipeline/embedding_refit.h"
#include "pipeline/fp8_quantizer.h"
#include "pipeline/fp8_runner.h"
#include "pipeline/head_refit.h"
#include "pipeline/job.h"
#include "pipeline/journal.h"
#include "pipeline/output_weights.h"
#include "pipeline/quantize_without_text.h"
#include "pipeline/step_writer.h"
#include "pipeline/teacher.h"

namespace whit::pipeline {

using base::ErrorKind;
using base::fail;
using checkpoint::Checkpoint;

namespace {

// Nothing where the method reads no text.
model::Sequences calibration_of(const Checkpoint& source, const Plan& plan, RunResult& result,
                                base::EventSink& events) {
  if (plan.tokens == 0) return {};
  const Recipe& recipe = plan.bound.recipe;
  std::vector<std::string> warnings;
  auto sequences = draw_sequences(source.folder(), recipe.calibration, recipe.samples,
                                  plan.spec.vocabulary, events, warnings);
  for (auto& text : warnings) {
    events.emit({"warning", {{"text", text}}});
    result.warnings.push_back(std::move(text));
  }
  return sequences;
}

model::Sequences first_part(const model::Sequences& all, double part) {
  model::Sequences result;
  const auto count = static_cast<std::int64_t>(std::ceil(static_cast<double>(all.count()) * part));
  for (std::size_t s = 0; s < static_cast<std::size_t>(count); ++s)
    result.append(
        std::span(all.ids).subspan(static_cast<std::size_t>(all.starts[s]),
                                   static_cast<std::size_t>(all.starts[s + 1] - all.starts[s])));
  return result;
}

// One quantization job, from an opened checkpoint to a whole folder.
class Job {
 public:
  Job(const Checkpoint& source, const RunArgs& args, compute::Backend& backend,
      base::EventSink& events, const base::CancelToken& cancel)
      : source_(source),
        args_(args),
        backend_(backend),
        events_(events),
        cancel_(cancel),
        ranks_(args.ranks),
        plan_(make_plan(source, args.recipe)),
        source_weights_(model::make_checkpoint_weights(source, backend)),
        output_weights_(*plan_, *source_weights_, backend) {}

  RunResult run() {
    const auto start = std::chrono::steady_clock::now();
    for (const auto& note : plan_->bound.notes) events_.emit({"note", {{"text", note}}});
    plan_->expert_block = ranks_.least(plan_->expert_block);
    if (finished_already()) {
      events_.emit({"note", {{"text", args_.output.string() + " is finished already"}}});
      result_.resumed = true;
    } else {
      sequences_ = calibration_of(source_, *plan_, result_, events_);
      open_output();
      run_steps();
      finish();
    }
    summarize();
    result_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    result_.peak_memory_bytes = base::peak_resident_bytes();
    return std::move(result_);
  }

 private:
  bool finished_already() const {
    const bool finished = args_.existing == ExistingOutput::kResume && ranks_.is_root() &&
                          is_finished(*plan_, source_, args_.output);
    return ranks_.largest(finished ? 1 : 0) > 0;
  }

  void open_output() {
    if (ranks_.is_root()) open_journal();
    const std::vector<StepRecord> none;
    finished_ = broadcast_finished(ranks_, journal_ ? journal_->finished() : none);
    result_.resumed = finished_.count > 0;
    if (plan_->activations_in_file) base::ensure_writable_directory(args_.output);
  }

  void open_journal() {
    prepare_output(args_.output, source_.folder(), args_.existing);
    const auto job = describe_job(source_, *plan_, sequences_, backend_.name());
    journal_.emplace(args_.existing == ExistingOutput::kResume ? Journal::resume(args_.output, job)
                                                               : Journal::begin(args_.output, job));
    check_free_space(args_.output, *plan_, journal_->finished());
    for (const auto& record : journal_->finished()) take(record);
  }

  // Steps up to the last unfinished one; finished ones are only passed through, with the weights
  // that they wrote, to bring the hidden states to where work goes on.
  void run_steps() {
    const std::size_t finished = finished_.count;
    if (finished == plan_->steps.size()) return;
    const bool forward = sequences_.tokens() > 0;
    if (forward) store_ = make_store();
    if (forward && plan_->bound.recipe.refinement.teacher)
      teacher_ = std::make_unique<Teacher>(
          *plan_, backend_, *source_weights_,
          first_part(sequences_, plan_->bound.recipe.refinement.teacher_part),
          [this] { return make_store(); });
    for (std::size_t i = 0; i < plan_->steps.size(); ++i) {
      cancel_.throw_if_cancelled();
      const bool resumed = i < finished;
      announce(i, resumed);
      if (!resumed)
        quantize_step(i, forward);
      else if (forward)
        pass_through(plan_->steps[i]);
      done_flops_ += plan_->steps[i].flops;
      base::trim_heap();
    }
  }

  std::unique_ptr<model::ActivationStore> make_store() {
    return plan_->activations_in_file
               ? make_file_store(backend_, args_.output)
               : model::make_memory_store(backend_, plan_->bound.recipe.hidden_states);
  }

  void quantize_step(std::size_t index, bool forward) {
    const Step& step = plan_->steps[index];
    StepWriter writer(*plan_, index, source_, output_weights_, backend_, args_.output, ranks_);
    StepRecord record;
    record.step = step.name;
    if (step.layer != nullptr && plan_->bound.recipe.method == Method::kFp8) {
      quantize_to_fp8(step, forward, writer, record);
    } else if (step.layer != nullptr && forward) {
      if (teacher_ && !is_kept(step)) teacher_->advance(step, true);
      CalibratingRunner runner({*plan_, backend_, *source_weights_, output_weights_, *store_,
                                sequences_, teacher_.get(), writer, ranks_, events_, cancel_});
      advance(step, output_weights_, runner);
      record.weights = runner.take_records();
      record.warnings = runner.take_warnings();
    } else if (step.layer != nullptr) {
      record.weights = quantize_without_text(
          {*plan_, backend_, *source_weights_, writer, ranks_, events_, cancel_}, *step.layer);
    } else if (forward && step.head) {
      if (teacher_ && ranks_.is_root())
        refit_head({*plan_, backend_, *source_weights_, *store_, *teacher_}, teacher_->sequences(),
                   writer);
    } else if (forward && step.table) {
      move_table(index, writer);
    } else if (forward) {
      embed();
    }
    record.shards = writer.finish();
    gather_record(ranks_, step.layer, record, events_);
    if (!ranks_.is_root()) return;
    take(record);
    journal_->append(std::move(record));
  }

  void quantize_to_fp8(const Step& step, bool forward, StepWriter& writer, StepRecord& record) {
    if (!fp8_) {
      fp8_ = std::make_unique<Fp8Quantizer>(*plan_, source_, *source_weights_, backend_);
      if (ranks_.is_root()) record.warnings = fp8_->warnings();
      for (const auto& text : record.warnings) events_.emit({"warning", {{"text", text}}});
    }
    if (!forward) {
      record.weights = fp8_->write_layer(*step.layer, is_kept(step), ranks_, writer, cancel_);
      return;
    }
    Fp8Runner runner(
        {*plan_, *step.layer, backend_, output_weights_, *fp8_, writer, ranks_, events_, cancel_});
    CacheMaxima cache(backend_);
    const bool cached = plan_->bound.recipe.fp8.kv_cache && !is_kept(step);
    advance(step, output_weights_, runner, cached ? &cache : nullptr);
    source_weights_->release(step.layer->index);
    if (cached) {
      const MeasuredMaxima::Cache seen{ranks_.largest(cache.maxima().key),
                                       ranks_.largest(cache.maxima().value)};
      if (ranks_.is_root()) fp8_->write_cache(*step.layer, seen, writer);
    }
    record.weights = runner.take_records();
    for (auto& text : runner.take_warnings()) record.warnings.push_back(std::move(text));
  }

  // Whether a step only copies: a prediction layer that the recipe keeps.
  bool is_kept(const Step& step) const {
    return step.mtp && plan_->bound.recipe.mtp == MtpMode::kKeep;
  }

  void pass_through(const Step& step) {
    if (step.head) return;
    if (step.layer == nullptr && !step.table) return embed();
    if (!shards_) {
      shards_.emplace(Checkpoint::open_shards(args_.output, finished_.files));
      resumed_weights_ = make_resumed_weights(*plan_, output_weights_, *shards_, backend_);
    }
    if (step.table) {
      const auto written = shards_->view(plan_->spec.embedding.weight());
      return use_table(std::make_shared<const tensor::Tensor>(backend_.memory().upload(written)),
                       *resumed_weights_);
    }
    if (teacher_ && !is_kept(step)) teacher_->advance(step, false);
    const auto runner = model::make_plain_runner(backend_, *resumed_weights_);
    advance(step, *resumed_weights_, *runner);
  }

  void embed() {
    embed_own();
    if (teacher_) teacher_->embed();
  }

  void embed_own() {
    model::ForwardContext context{backend_, output_weights_, *store_, sequences_, *no_runner_};
    model::forward_embedding(context, plan_->spec);
  }

  // The step behind the first layer's, whose shards are whole.
  void move_table(std::size_t index, StepWriter& writer) {
    std::vector<std::string> files;
    for (const OutputShard& shard : plan_->shards)
      if (shard.step + 1 == index) files.push_back(shard.file);
    ranks_.barrier();
    const Checkpoint shards = Checkpoint::open_shards(args_.output, files);
    const auto first_layer = make_resumed_weights(*plan_, output_weights_, shards, backend_);
    const model::LinearSpec& embedding = plan_->spec.embedding;
    model::WeightHandle table;
    if (ranks_.is_root()) {
      const EmbeddingRefitArgs args{
          *plan_,
          backend_,
          *source_weights_,
          *first_layer,
          [this] { return make_store(); },
          [this](std::int64_t row0, tensor::MatrixView x) { teacher_->stream(row0, x); }};
      table = writer.refitted(embedding.weight(), refit_embedding(args, teacher_->sequences()));
    }
    const tensor::Shape shape{plan_->spec.vocabulary, plan_->spec.hidden};
    use_table(ranks_.several() ? ranks_.broadcast(0, table, shape, backend_) : table, *first_layer);
  }

  // The stream behind the first layer, from its beginning.
  void use_table(model::WeightHandle table, model::WeightSource& first_layer) {
    output_weights_.replace_table(std::move(table));
    embed_own();
    const auto runner = model::make_plain_runner(backend_, first_layer);
    const auto first = std::find_if(plan_->steps.begin(), plan_->steps.end(),
                                    [](const Step& step) { return step.layer != nullptr; });
    advance(*first, first_layer, *runner);
  }

  void advance(const Step& step, model::WeightSource& weights, model::StageRunner& runner,
               model::Observer* observer = nullptr) {
    model::ForwardContext context{backend_, weights, *store_, sequences_, runner};
    context.observer = observer;
    context.ranks = ranks_.get();
    context.recompute = plan_->recompute;
    if (is_kept(step)) return;
    if (step.mtp)
      model::forward_mtp_layer(context, plan_->spec, *step.layer);
    else
      model::forward_layer(context, *step.layer);
    weights.release(step.layer->index);
  }

  void announce(std::size_t index, bool resumed) {
    events_.emit({"step",
                  {{"name", plan_->steps[index].name},
                   {"index", static_cast<std::int64_t>(index)},
                   {"count", static_cast<std::int64_t>(plan_->steps.size())},
                   {"resumed", resumed}}});
    events_.emit({"progress", {{"done_flops", done_flops_}, {"total_flops", plan_->flops}}});
  }

  void take(const StepRecord& record) {
    result_.weights.insert(result_.weights.end(), record.weights.begin(), record.weights.end());
    result_.warnings.insert(result_.warnings.end(), record.warnings.begin(), record.warnings.end());
  }

  void finish() {
    if (ranks_.is_root()) write_rest();
    ranks_.barrier();
  }

  void write_rest() {
    carry_over_files(source_.folder(), args_.output);
    write_index(*plan_, args_.output);
    write_inc_config(*plan_, args_.output);
    // Last: a folder without it is no checkpoint.
    base::write_file_atomic(args_.output / "config.json", config_text(*plan_, source_));
    journal_->remove();
  }

  void summarize() {
    result_.output = args_.output;
    result_.bits_per_weight = plan_->bits_per_weight;
    result_.tensors_quantized = static_cast<std::int64_t>(plan_->quantized.size());
    result_.tensors_copied = static_cast<std::int64_t>(plan_->copied.size());
    events_.emit({"progress", {{"done_flops", plan_->flops}, {"total_flops", plan_->flops}}});
  }

  const Checkpoint& source_;
  const RunArgs& args_;
  compute::Backend& backend_;
  base::EventSink& events_;
  const base::CancelToken& cancel_;
  Ranks ranks_;
  std::unique_ptr<Plan> plan_;
  std::unique_ptr<model::WeightSource> source_weights_;
  OutputWeights output_weights_;
  std::unique_ptr<model::StageRunner> no_runner_ =
      model::make_plain_runner(backend_, output_weights_);
  model::Sequences sequences_;
  std::optional<Journal> journal_;  // the root's
  FinishedSteps finished_;
  std::unique_ptr<model::ActivationStore> store_;
  std::unique_ptr<Teacher> teacher_;
  std::unique_ptr<Fp8Quantizer> fp8_;
  std::optional<Checkpoint> shards_;
  std::unique_ptr<model::WeightSource> resumed_weights_;
  RunResult result_;
  double done_flops_ = 0;
};

}  // namespace

RunResult run(const Checkpoint& checkpoint, const RunArgs& args, compute::Backend& backend,
              base::EventSink& events, const base::CancelToken& cancel) {
  return Job(checkpoint, args, backend, events, cancel).run();
}

}  // namespace whit::pipeline
