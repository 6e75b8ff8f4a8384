#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/event.h"
#include "checkpoint/checkpoint.h"
#include "compute/backend.h"
#include "data/samples.h"
#include "formats/inc_config.h"
#include "formats/inc_names.h"
#include "model/activations.h"
#include "model/observer.h"
#include "model/spec.h"
#include "model/weights.h"
#include "pipeline/maxima.h"
#include "stats/ranges.h"

namespace whit::pipeline {

// One forward of whole sequences, layer by layer, watched or not; the same work either way, up to
// the final norm. `after` is called after each layer with (done, total).
struct WatchedForward {
  using After = std::function<void(std::int64_t, std::int64_t)>;

  compute::Backend& backend;
  const model::ModelSpec& spec;
  model::WeightSource& weights;
  model::ActivationStore& store;
  const model::Sequences& sequences;
  Ranks ranks = Ranks(nullptr);
  bool mtp = false;  // the layers that predict further tokens are counted in the total

  void run(model::Observer* observer, const After& after) const;
  // Then what the head reads, its weight and, where wanted, its output.
  void watch_head(model::Observer& observer) const;
  // Then those layers, and their heads.
  void run_mtp(model::Observer& observer, const After& after) const;

 private:
  void watch_head(model::Observer& observer, const model::LinearSpec& head,
                  const std::function<tensor::Tensor(const model::Tile&)>& input) const;
};

struct MeasureJob {
  std::filesystem::path model;
  formats::IncConfig config;  // in MEASURE mode; its path is not looked at
  std::string config_subject;
  std::filesystem::path out;          // folder of the files
  std::string prefix = "inc_output";  // of their names
  std::filesystem::path calibration;  // a dataset, see data::draw_samples
  data::SampleArgs samples;
  std::uint64_t max_memory_bytes = 0;  // 0: no limit
  bool overwrite = false;
  bool mtp = false;  // measure the layers that predict further tokens as well
  // Who share the job, all with the same arguments; null: this process does all of it.
  comm::Communicator* ranks = nullptr;
};

// Tokens that each expert of a layer saw.
struct ExpertTokens {
  std::string module;
  std::vector<std::int64_t> tokens;
};

struct MeasureResult {
  std::vector<std::filesystem::path> files;
  formats::IncRun run;
  std::int64_t samples = 0, tokens = 0;
  std::vector<ExpertTokens> experts;
  std::vector<stats::UnseenExpert> unseen;
  std::vector<std::string> warnings;
  double forward_seconds = 0;
  bool spilled = false;  // hidden states lay in files
};

// Measures what the config selects over the calibration data and writes INC's files: JSON, NPZ and
// mod_list of rank 0 of 1, and TOKENS.csv, the tokens that each module and expert saw. The
// observers save and shape take tensors or their extents instead (see TensorFiles), saved ones into
// the folder `tensors` of `out`. Weights and hidden states of one layer are in memory, or hidden
// states in unlinked files of `out` where they do not fit; the files' bytes depend neither on that
// nor on threads. Events: "samples", "progress", "note", "warning". Of several ranks the root
// writes what one process would; the others have no files in their results. Errors: those of
// draw_samples and load_spec; kInput (subject: the config's key, or the tensor) for another mode
// and for what is not finite; kUnsupported for save and shape on several ranks; kUsage where `out`
// holds the run's files already; kResource.
MeasureResult measure(const MeasureJob& job, compute::Backend& backend, base::EventSink& events,
                      const base::CancelToken& cancel);

}  // namespace whit::pipeline
