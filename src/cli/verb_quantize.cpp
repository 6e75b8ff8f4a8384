#include <CLI/CLI.hpp>
#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/memory.h"
#include "cli/quantize_flags.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "pipeline/run.h"

namespace whit::cli {

namespace verb_quantize {

struct Existing {
  bool resume = false, overwrite = false;
};

void put_error(report::Json& json, const char* key, const std::optional<double>& value) {
  report::put_number(json, key, value.value_or(std::numeric_limits<double>::quiet_NaN()),
                     value ? "not finite" : "no calibration text was run");
}

report::Json to_json(const pipeline::RunResult& result) {
  report::Json weights = report::Json::array();
  for (const auto& w : result.weights) {
    report::Json entry{{"name", w.name},
                       {"method", w.method},
                       {"tokens", w.tokens},
                       {"extra_tokens", w.extra_tokens}};
    put_error(entry, "proxy_error", w.proxy_error);
    put_error(entry, "proxy_error_rtn", w.proxy_error_rtn);
    entry["damping"] = w.damping;
    entry["reach"] = w.reach;
    entry["seconds"] = w.seconds;
    weights.push_back(std::move(entry));
  }
  return {{"output", result.output.string()},
          {"bits_per_weight", result.bits_per_weight},
          {"seconds", result.seconds},
          {"peak_memory_bytes", result.peak_memory_bytes},
          {"tensors", {{"quantized", result.tensors_quantized}, {"copied", result.tensors_copied}}},
          {"resumed", result.resumed},
          {"weights", std::move(weights)},
          {"warnings", result.warnings}};
}

// Sums of the weights that share the last part of their name.
struct Kind {
  std::int64_t count = 0, measured = 0;
  double error = 0, error_rtn = 0, seconds = 0;
};

// What may explain a weight's error: what is far from usual about it.
std::string reasons(const pipeline::WeightRecord& w, double usual_damping, double usual_reach) {
  std::string text;
  if (w.extra_tokens > 0) text += fmt::format("  few tokens: {} topped up", w.extra_tokens);
  if (w.damping > 1.5 * usual_damping) text += "  heavy damping";
  if (w.reach > 1.5 * usual_reach)
    text += fmt::format("  outliers: a group reaches {:.1f} times its rms", w.reach);
  return text;
}

template <typename Value>
double median_of(const std::vector<const pipeline::WeightRecord*>& weights, Value value) {
  std::vector<double> values;
  for (const auto* w : weights) values.push_back(value(*w));
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// The weights that lost most, and what may explain it.
std::string lost_most(const pipeline::RunResult& result) {
  constexpr std::size_t kShown = 5;
  std::vector<const pipeline::WeightRecord*> measured;
  for (const auto& w : result.weights)
    if (w.proxy_error) measured.push_back(&w);
  const std::size_t shown = std::min(kShown, measured.size());
  if (shown == 0) return {};
  std::partial_sort(measured.begin(), measured.begin() + static_cast<std::ptrdiff_t>(shown),
                    measured.end(), [](const auto* a, const auto* b) {
                      return *a->proxy_error != *b->proxy_error ? *a->proxy_error > *b->proxy_error
                                                                : a->name < b->name;
                    });
  const double damping =
      median_of(measured, [](const pipeline::WeightRecord& w) { return w.damping; });
  const double reach = median_of(measured, [](const pipeline::WeightRecord& w) { return w.reach; });
  std::string text =
      fmt::format("\n{:<56}{:>13}{:>10}{:>9}\n", "lost most", "proxy error", "tokens", "damping");
  for (std::size_t i = 0; i < shown; ++i) {
    const auto& w = *measured[i];
    text += fmt::format("{:<56}{:>13.6f}{:>10}{:>9.3g}{}\n", w.name, *w.proxy_error, w.tokens,
                        w.damping, reasons(w, damping, reach));
  }
  return text;
}

std::string to_text(const pipeline::RunResult& result) {
  std::map<std::string, Kind> kinds;
  for (const auto& w : result.weights) {
    auto& kind = kinds[w.name.substr(w.name.find_last_of('.') + 1)];
    ++kind.count;
    kind.seconds += w.seconds;
    if (!w.proxy_error || !w.proxy_error_rtn) continue;
    ++kind.measured;
    kind.error += *w.proxy_error;
    kind.error_rtn += *w.proxy_error_rtn;
  }
  std::string text = fmt::format("{:<24}{:>9}{:>16}{:>18}{:>12}\n", "weights", "count",
                                 "proxy error", "plain rounding", "seconds");
  for (const auto& [name, kind] : kinds) {
    const auto n = static_cast<double>(kind.measured);
    text += fmt::format("{:<24}{:>9}{:>16}{:>18}{:>12.1f}\n", name, kind.count,
                        kind.measured > 0 ? fmt::format("{:.6f}", kind.error / n) : "-",
                        kind.measured > 0 ? fmt::format("{:.6f}", kind.error_rtn / n) : "-",
                        kind.seconds);
  }
  text += lost_most(result);
  return text + fmt::format(
                    "\noutput           {}\nbits per weight  {:.3f}\ntensors          {} "
                    "quantized, {} copied\nseconds          {:.1f}\npeak memory      {}\n",
                    result.output.string(), result.bits_per_weight, result.tensors_quantized,
                    result.tensors_copied, result.seconds,
                    base::format_bytes(result.peak_memory_bytes));
}

int run(Session& session, const QuantizeFlags& flags, const Existing& existing) {
  if (existing.resume && existing.overwrite)
    base::fail(base::ErrorKind::kUsage, "--resume",
               "given together with --overwrite; expected one of them");
  pipeline::RunArgs args;
  args.recipe = recipe_from(flags, session, Purpose::kRun);
  args.output = flags.out;
  args.existing = existing.resume      ? pipeline::ExistingOutput::kResume
                  : existing.overwrite ? pipeline::ExistingOutput::kOverwrite
                                       : pipeline::ExistingOutput::kRefuse;
  args.ranks = &session.ranks();
  const auto checkpoint = checkpoint::Checkpoint::open(session.model_folder(flags.model));
  const auto result =
      pipeline::run(checkpoint, args, session.backend(), session.events(), session.cancel());
  session.print(to_json(result), to_text(result));
  return 0;
}

Job declare(CLI::App& app) {
  auto flags = declare_quantize_flags(app);
  auto existing = std::make_shared<Existing>();
  app.add_option("MODEL", flags->model, "model folder or org/name[@revision]")->required();
  app.add_option("OUT", flags->out, "new folder")->required();
  app.add_flag("--resume", existing->resume, "go on with what an interrupted run left in OUT");
  app.add_flag("--overwrite", existing->overwrite, "replace what OUT holds");
  return [flags, existing](Session& session) { return run(session, *flags, *existing); };
}

}  // namespace verb_quantize

Verb quantize_verb() {
  return {"quantize", "Quantizes a checkpoint with calibration text",
          "  whit quantize demo/moe-15m out --calibration demo/text/calibration.jsonl\n"
          "  whit quantize MODEL out --calibration rows.jsonl --bits 4 --group-size 128 --rel-damp "
          "0.1\n"
          "      --quantization-order activation --quantization-scale mse --quantize-only-experts\n"
          "  whit quantize MODEL out --recipe recipe.json --resume --log-json events.jsonl\n"
          "  whit quantize MODEL out --method rtn --bits 8 --group-size channel\n",
          verb_quantize::declare};
}

}  // namespace whit::cli
