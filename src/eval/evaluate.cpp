#include "eval/evaluate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <memory>
#include <utility>

#include "base/memory.h"
#include "eval/scores.h"
#include "pipeline/activation_file.h"
#include "runtime/streamed_forward.h"

namespace whit::eval {

namespace {

using base::ErrorKind;

// Running sums, in window order.
struct Totals {
  std::vector<double> window_nll, window_kl;  // means
  std::vector<double> kl;
  double nll = 0, reference_nll = 0, kl_sum = 0;
  std::int64_t tokens = 0, agreed = 0;
};

struct Job {
  compute::Backend& backend;
  const EvalModel& model;
  const std::optional<EvalModel>& reference;
  base::EventSink& events;
  const base::CancelToken& cancel;
};

void check_ids(const Job& job, const std::vector<Window>& windows) {
  const std::int64_t vocabulary = job.model.spec->vocabulary;
  if (job.reference && job.reference->spec->vocabulary != vocabulary)
    base::fail(ErrorKind::kInput, "--reference", "a vocabulary of {}; expected {}, the model's",
               job.reference->spec->vocabulary, vocabulary);
  for (const auto& window : windows)
    for (const auto id : window)
      if (id < 0 || id >= vocabulary)
        base::fail(ErrorKind::kInput, "--text", "token id {}; expected 0 to {}", id,
                   vocabulary - 1);
}

// Windows that go through the layers at once.
std::size_t chunk_windows(const Job& job, const std::vector<Window>& windows,
                          std::uint64_t max_memory) {
  if (max_memory == 0) return windows.size();
  std::uint64_t per_token = runtime::activation_bytes_per_token(*job.model.spec);
  std::uint64_t fixed = runtime::working_bytes(*job.model.spec);
  if (job.reference) {
    per_token += runtime::activation_bytes_per_token(*job.reference->spec);
    fixed = std::max(fixed, runtime::working_bytes(*job.reference->spec));
  }
  std::size_t longest = 0;
  for (const auto& window : windows) longest = std::max(longest, window.size());
  const std::uint64_t per_window = per_token * longest;
  const std::uint64_t taken = base::resident_bytes() + fixed;
  if (taken + per_window > max_memory)
    base::fail(ErrorKind::kResource, "--max-memory",
               "{}; expected at least {} for one window of {}", base::format_bytes(max_memory),
               base::format_bytes(taken + per_window), longest);
  const std::uint64_t fit = (max_memory - taken) / per_window;
  return static_cast<std::size_t>(std::min<std::uint64_t>(fit, windows.size()));
}

tensor::Tensor log_probabilities(compute::Backend& backend, runtime::StreamedForward& forward,
                                 std::int64_t row0, std::int64_t rows) {
  auto logits = forward.head(row0, rows);
  backend.neural().log_softmax(logits.matrix());
  if (logits.device() == tensor::Device{}) return logits;
  return backend.memory().download(logits.view());
}

// Target of every row: the next id of its window, -1 for the last.
std::vector<std::int32_t> targets_of(const model::Sequences& sequences) {
  std::vector<std::int32_t> targets(sequences.ids.begin() + 1, sequences.ids.end());
  targets.push_back(-1);
  for (std::size_t s = 1; s < sequences.starts.size(); ++s)
    targets[static_cast<std::size_t>(sequences.starts[s]) - 1] = -1;
  return targets;
}

void add_windows(const model::Sequences& sequences, const std::vector<TokenScore>& scores,
                 bool compared, Totals& totals) {
  for (std::size_t s = 0; s + 1 < sequences.starts.size(); ++s) {
    double nll = 0, kl = 0;
    const auto first = static_cast<std::size_t>(sequences.starts[s]);
    const auto last = static_cast<std::size_t>(sequences.starts[s + 1]) - 1;
    for (std::size_t row = first; row < last; ++row) {
      nll += scores[row].nll_nats;
      kl += scores[row].kl_nats;
      totals.reference_nll += scores[row].reference_nll_nats;
      totals.agreed += scores[row].agrees ? 1 : 0;
      if (compared) totals.kl.push_back(scores[row].kl_nats);
    }
    const auto tokens = static_cast<std::int64_t>(last - first);
    totals.nll += nll;
    totals.kl_sum += kl;
    totals.tokens += tokens;
    totals.window_nll.push_back(nll / static_cast<double>(tokens));
    totals.window_kl.push_back(kl / static_cast<double>(tokens));
  }
}

// Scores of every row of finished forwards. `original` may be null.
std::vector<TokenScore> score_forwards(const Job& job, const model::Sequences& sequences,
                                       runtime::StreamedForward& forward,
                                       runtime::StreamedForward* original,
                                       const std::function<void(double)>& progress) {
  const auto targets = targets_of(sequences);
  std::vector<TokenScore> scores;
  scores.reserve(targets.size());
  const std::int64_t step = runtime::head_rows(*job.model.spec);
  for (std::int64_t row = 0; row < sequences.tokens(); row += step) {
    job.cancel.throw_if_cancelled();
    const std::int64_t rows = std::min(step, sequences.tokens() - row);
    const auto p = log_probabilities(job.backend, forward, row, rows);
    tensor::Tensor q;
    if (original != nullptr) q = log_probabilities(job.backend, *original, row, rows);
    const auto tile = score_rows(
        p.matrix(), original != nullptr ? std::as_const(q).matrix() : tensor::ConstMatrixView{},
        std::span(targets).subspan(static_cast<std::size_t>(row), static_cast<std::size_t>(rows)));
    scores.insert(scores.end(), tile.begin(), tile.end());
    progress(0.8 + 0.2 * static_cast<double>(row + rows) / static_cast<double>(sequences.tokens()));
  }
  return scores;
}

std::vector<TokenScore> score_chunk(const Job& job, const model::Sequences& sequences,
                                    const std::function<void(double)>& progress) {
  const double parts = job.reference ? 2 : 1;
  runtime::StreamedForward forward(job.backend, *job.model.spec, *job.model.weights, sequences,
                                   nullptr, job.model.serving);
  forward.run([&](std::int64_t done, std::int64_t total) {
    job.cancel.throw_if_cancelled();
    progress(0.8 * static_cast<double>(done) / static_cast<double>(total) / parts);
  });
  std::unique_ptr<runtime::StreamedForward> original;
  if (job.reference) {
    original = std::make_unique<runtime::StreamedForward>(job.backend, *job.reference->spec,
                                                          *job.reference->weights, sequences,
                                                          nullptr, job.reference->serving);
    original->run([&](std::int64_t done, std::int64_t total) {
      job.cancel.throw_if_cancelled();
      progress(0.4 + 0.4 * static_cast<double>(done) / static_cast<double>(total));
    });
  }
  return score_forwards(job, sequences, forward, original.get(), progress);
}

void emit_progress(base::EventSink& events, std::size_t first, std::size_t last, std::size_t total,
                   double share) {
  events.emit({"progress",
               {{"stage", std::string("windows")},
                {"done", static_cast<double>(first) + share * static_cast<double>(last - first)},
                {"total", static_cast<double>(total)},
                {"unit", std::string("windows")}}});
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

EvalResult summarize(const Totals& totals, bool compared) {
  EvalResult result;
  const auto tokens = static_cast<double>(totals.tokens);
  result.tokens = totals.tokens;
  result.windows = static_cast<std::int64_t>(totals.window_nll.size());
  result.nll_nats = totals.nll / tokens;
  result.nll_standard_error_nats = standard_error(totals.window_nll);
  result.perplexity = std::exp(result.nll_nats);
  if (!compared) return result;
  Comparison& c = result.comparison.emplace();
  c.mean_kl_nats = totals.kl_sum / tokens;
  c.mean_kl_standard_error_nats = standard_error(totals.window_kl);
  c.p99_kl_nats = quantile(totals.kl, 0.99);
  c.top1_agreement = static_cast<double>(totals.agreed) / tokens;
  c.reference_nll_nats = totals.reference_nll / tokens;
  c.reference_perplexity = std::exp(c.reference_nll_nats);
  c.window_kl_nats = totals.window_kl;
  return result;
}

}  // namespace

EvalResult evaluate(compute::Backend& backend, const EvalModel& model,
                    const std::optional<EvalModel>& reference, const std::vector<Window>& windows,
                    const EvalArgs& args, base::EventSink& events,
                    const base::CancelToken& cancel) {
  const auto start = std::chrono::steady_clock::now();
  const Job job{backend, model, reference, events, cancel};
  check_ids(job, windows);
  const std::size_t chunk = chunk_windows(job, windows, args.max_memory_bytes);

  Totals totals;
  for (std::size_t first = 0; first < windows.size(); first += chunk) {
    const std::size_t last = std::min(first + chunk, windows.size());
    model::Sequences sequences;
    for (std::size_t w = first; w < last; ++w) sequences.append(windows[w]);
    const auto progress = [&](double share) {
      emit_progress(events, first, last, windows.size(), share);
    };
    add_windows(sequences, score_chunk(job, sequences, progress), reference.has_value(), totals);
  }
  auto result = summarize(totals, reference.has_value());
  result.seconds = seconds_since(start);
  return result;
}

struct Reference::Portion {
  std::size_t first = 0, last = 0;  // windows
  model::Sequences sequences;
  std::unique_ptr<runtime::StreamedForward> forward;
};

Reference::Reference(compute::Backend& backend, const EvalModel& original,
                     const std::vector<Window>& windows, const std::filesystem::path& folder,
                     const EvalArgs& args, base::EventSink& events, const base::CancelToken& cancel)
    : backend_(backend),
      original_(original),
      events_(events),
      cancel_(cancel),
      windows_(windows.size()) {
  const std::optional<EvalModel> alone;
  const Job job{backend, original_, alone, events, cancel};
  check_ids(job, windows);
  const std::size_t size = chunk_windows(job, windows, args.max_memory_bytes);
  for (std::size_t first = 0; first < windows.size(); first += size) {
    auto& portion = *portions_.emplace_back(std::make_unique<Portion>());
    portion.first = first;
    portion.last = std::min(first + size, windows.size());
    for (std::size_t w = first; w < portion.last; ++w) portion.sequences.append(windows[w]);
    portion.forward = std::make_unique<runtime::StreamedForward>(
        backend, *original_.spec, *original_.weights, portion.sequences,
        pipeline::make_file_store(backend, folder), original_.serving);
    portion.forward->run([&](std::int64_t done, std::int64_t total) {
      cancel.throw_if_cancelled();
      emit_progress(events, first, portion.last, windows_,
                    static_cast<double>(done) / static_cast<double>(total));
    });
  }
}

Reference::~Reference() = default;

EvalResult Reference::evaluate(const EvalModel& model) {
  const auto start = std::chrono::steady_clock::now();
  const std::optional<EvalModel> original = original_;
  const Job job{backend_, model, original, events_, cancel_};
  check_ids(job, {});
  Totals totals;
  for (const auto& portion : portions_) {
    const auto progress = [&](double share) {
      emit_progress(events_, portion->first, portion->last, windows_, share);
    };
    runtime::StreamedForward forward(backend_, *model.spec, *model.weights, portion->sequences,
                                     nullptr, model.serving);
    forward.run([&](std::int64_t done, std::int64_t total) {
      cancel_.throw_if_cancelled();
      progress(0.8 * static_cast<double>(done) / static_cast<double>(total));
    });
    add_windows(portion->sequences,
                score_forwards(job, portion->sequences, forward, portion->forward.get(), progress),
                true, totals);
    portion->forward->release_head();
  }
  auto result = summarize(totals, true);
  result.seconds = seconds_since(start);
  return result;
}

}  // namespace whit::eval
