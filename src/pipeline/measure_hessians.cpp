#include "pipeline/measure_hessians.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "model/forward.h"
#include "model/inventory.h"
#include "pipeline/activation_file.h"
#include "pipeline/calibration_sequences.h"
#include "pipeline/hessian_files.h"
#include "pipeline/measure_memory.h"

namespace whit::pipeline {

namespace fs = std::filesystem;
using base::ErrorKind;
using base::fail;
using stats::TapId;

namespace {

// Sums over the hidden states of a layer, written when they are whole.
class HessianTap final : public stats::Tap {
 public:
  HessianTap(compute::Backend& backend, fs::path out, HessianResult& result)
      : backend_(backend), out_(std::move(out)), result_(result) {}

  void begin(const model::LayerSpec& layer) {
    names_.clear();
    for (const auto* linear : model::linears_of(layer)) {
      const std::string_view key = hessian_key(linear->reads.site);
      names_[linear->reads].insert(key.empty() ? linear->module + ".pt"
                                               : fmt::format("{}_{}.pt", linear->reads.layer, key));
    }
  }

  void observe(const TapId& id, tensor::ConstMatrixView x,
               std::span<const float> /*row_weights*/) override {
    if (!names_.contains(id)) return;
    // An expert's hidden states come one after the other.
    if (last_ != id && last_.expert >= 0) write(last_);
    last_ = id;
    Sums& sums = sums_.try_emplace(id, backend_, x.cols).first->second;
    sums.gram.observe(x);
    sums.ones.observe(ones_of(x.rows), x);
  }

  // Writes what is left of the layer.
  void finish() {
    while (!sums_.empty()) write(sums_.begin()->first);
    for (const auto& [id, files] : names_) {
      result_.warnings.push_back(fmt::format(
          "{}: no token of the calibration came here; no Hessian is written, and --hessian-path "
          "will ask for {}",
          stats::to_string(id), *files.begin()));
    }
    last_ = {};
  }

 private:
  struct Sums {
    Sums(compute::Backend& backend, std::int64_t width)
        : gram(backend, width), ones(backend, 1, width) {}
    stats::Gram gram;
    stats::CrossGram ones;
  };

  tensor::ConstMatrixView ones_of(std::int64_t rows) {
    if (ones_.empty() || ones_.shape()[0] < rows) {
      tensor::Tensor host({rows, 1}, tensor::Dtype::kF32);
      std::fill_n(host.as<float>(), rows, 1.0F);
      ones_ = backend_.memory().upload(host.view());
    }
    return std::as_const(ones_).matrix().rows_of(0, rows);
  }

  void write(TapId id) {
    const auto found = sums_.find(id);
    if (found == sums_.end()) return;
    found->second.gram.freeze();
    for (const std::string& name : names_[id]) {
      write_hessian(backend_, found->second.gram, found->second.ones, out_ / name);
      result_.files.push_back(out_ / name);
    }
    sums_.erase(found);
    names_.erase(id);
  }

  compute::Backend& backend_;
  fs::path out_;
  HessianResult& result_;
  std::map<TapId, std::set<std::string>> names_;
  std::map<TapId, Sums> sums_;
  TapId last_;
  tensor::Tensor ones_;
};

void prepare_hessians(const HessianJob& job) {
  base::ensure_writable_directory(job.out);
  for (const auto& entry : fs::directory_iterator(job.out)) {
    if (entry.path().extension() != ".pt") continue;
    if (!job.overwrite)
      fail(ErrorKind::kUsage, "--hessians",
           "{} holds {}; expected a folder without .pt files, or "
           "--overwrite",
           job.out.string(), entry.path().filename().string());
    fs::remove(entry.path());
  }
}

}  // namespace

HessianResult measure_hessians(const HessianJob& job, compute::Backend& backend,
                               base::EventSink& events, const base::CancelToken& cancel) {
  HessianResult result;
  const auto checkpoint = checkpoint::Checkpoint::open(job.model);
  const model::ModelSpec spec = model::load_spec(checkpoint);
  const auto sequences = draw_sequences(checkpoint.folder(), job.calibration, job.samples,
                                        spec.vocabulary, events, result.warnings);
  result.samples = sequences.count();
  result.tokens = sequences.tokens();
  prepare_hessians(job);
  result.spilled = spills(spec, result.tokens, job.max_memory_bytes);
  const auto store =
      result.spilled ? make_file_store(backend, job.out) : model::make_memory_store(backend);
  const auto weights = model::make_checkpoint_weights(checkpoint, backend);
  HessianTap tap(backend, job.out, result);
  const auto runner = model::make_plain_runner(backend, *weights, &tap);
  model::ForwardContext context{backend, *weights, *store, sequences, *runner};
  const auto start = std::chrono::steady_clock::now();
  const auto total = static_cast<double>(spec.layers.size() + spec.mtp_layers.size());
  double done = 0;
  const auto run = [&](const model::LayerSpec& layer, const auto& forward) {
    cancel.throw_if_cancelled();
    tap.begin(layer);
    forward();
    tap.finish();
    weights->release(layer.index);
    events.emit({"progress",
                 {{"stage", std::string("measuring")},
                  {"done", ++done},
                  {"total", total},
                  {"unit", std::string("layers")}}});
    base::trim_heap();
  };
  model::forward_embedding(context, spec);
  for (const auto& layer : spec.layers) run(layer, [&] { model::forward_layer(context, layer); });
  for (const auto& layer : spec.mtp_layers)
    run(layer, [&] { model::forward_mtp_layer(context, spec, layer); });
  result.forward_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (const auto& warning : result.warnings) events.emit({"warning", {{"text", warning}}});
  return result;
}

}  // namespace whit::pipeline
