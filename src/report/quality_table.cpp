#include "report/quality_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "base/memory.h"
#include "eval/scores.h"

namespace whit::report {

namespace {

const QualityRowResult* baseline_of(const QualityTable& table, int bits) {
  for (const auto& row : table.rows)
    if (row.name == table.baseline && row.bits == bits && !row.error) return &row;
  return nullptr;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// The ratio of two means over the same windows, and its standard error to first order.
void set_ratio(const QualityScore& baseline, QualityScore& score) {
  const auto& x = baseline.window_kl_nats;
  const auto& y = score.window_kl_nats;
  if (x.size() != y.size() || x.empty() || !(mean(x) > 0)) return;
  score.relative_kl = mean(y) / mean(x);
  std::vector<double> residuals(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) residuals[i] = y[i] - score.relative_kl * x[i];
  score.relative_kl_standard_error = eval::standard_error(residuals) / mean(x);
}

}  // namespace

std::string finite_or_dash(double value, const char* format) {
  return std::isfinite(value) ? fmt::format(fmt::runtime(format), value) : "-";
}

namespace {

std::string row_line(const QualityRowResult& row, std::size_t text) {
  if (row.error) return fmt::format("{:<24}  {}\n", row.name, row.error->what());
  const auto& score = row.scores[text];
  const double memory = row.peak_memory_bytes;
  return fmt::format(
      "{:<24}{:>10}{:>9}{:>10}{:>9}{:>8}{:>11}{:>9}{:>9}{:>8}{:>12}\n", row.name,
      finite_or_dash(score.mean_kl_nats, "{:.5f}"),
      finite_or_dash(score.mean_kl_standard_error_nats, "{:.5f}"),
      finite_or_dash(score.p99_kl_nats, "{:.4f}"), finite_or_dash(score.relative_kl, "{:.3f}"),
      finite_or_dash(score.relative_kl_standard_error, "{:.3f}"),
      finite_or_dash(score.perplexity, "{:.3f}"),
      finite_or_dash(100 * score.top1_agreement, "{:.2f}"), seconds_text(row.seconds),
      finite_or_dash(row.bits_per_quantized_weight, "{:.3f}"),
      std::isfinite(memory) ? base::format_bytes(static_cast<std::uint64_t>(memory)) : "-");
}

Json to_json(const QualityScore& score, const QualityText& text) {
  Json json{{"text", text.name}};
  const auto put = [&](const char* key, double value, const char* reason) {
    put_number(json, key, value, reason);
  };
  put("mean_kl_nats", score.mean_kl_nats, "not finite");
  put("mean_kl_standard_error_nats", score.mean_kl_standard_error_nats, "fewer than two windows");
  put("p99_kl_nats", score.p99_kl_nats, "not finite");
  put("perplexity", score.perplexity, "not finite");
  put("reference_perplexity", text.perplexity, "not finite");
  put("top1_agreement", score.top1_agreement, "not finite");
  put("relative_kl", score.relative_kl, "no baseline of these bits was measured");
  put("relative_kl_standard_error", score.relative_kl_standard_error,
      "no baseline of these bits was measured, or fewer than two windows");
  return json;
}

Json to_json(const QualityRowResult& row, const QualityTable& table) {
  Json json{{"name", row.name}, {"does", row.does}, {"flags", row.flags}, {"bits", row.bits}};
  if (row.error) {
    json["error"] = {{"exit_code", static_cast<int>(row.error->kind())},
                     {"subject", row.error->subject()},
                     {"detail", row.error->detail()}};
    return json;
  }
  put_number(json, "seconds", row.seconds, "not measured");
  put_number(json, "bits_per_weight", row.bits_per_weight, "no parameters");
  put_number(json, "bits_per_quantized_weight", row.bits_per_quantized_weight,
             "nothing is quantized");
  if (std::isfinite(row.peak_memory_bytes))
    json["peak_memory_bytes"] = static_cast<std::uint64_t>(row.peak_memory_bytes);
  else
    put_number(json, "peak_memory_bytes", row.peak_memory_bytes,
               "the system does not tell it apart from earlier rows'");
  json["warnings"] = row.warnings;
  json["texts"] = Json::array();
  for (std::size_t t = 0; t < row.scores.size(); ++t)
    json["texts"].push_back(to_json(row.scores[t], table.texts[t]));
  return json;
}

}  // namespace

bool QualityTable::complete() const {
  return std::none_of(rows.begin(), rows.end(),
                      [](const auto& row) { return row.error.has_value(); });
}

void compare_with_baseline(QualityTable& table) {
  for (auto& row : table.rows) {
    const auto* baseline = row.error ? nullptr : baseline_of(table, row.bits);
    if (baseline == nullptr) continue;
    for (std::size_t t = 0; t < row.scores.size(); ++t)
      set_ratio(baseline->scores[t], row.scores[t]);
  }
}

std::string seconds_text(double seconds) {
  if (!std::isfinite(seconds)) return "-";
  if (seconds < 600) return fmt::format("{:.1f}", seconds);
  const auto whole = static_cast<long>(seconds + 0.5);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string to_text(const QualityTable& table) {
  std::string out = fmt::format("{}\n{}\ncalibration: {}\n", table.model, table.machine,
                                table.calibration.empty() ? "none" : table.calibration);
  std::set<int, std::greater<>> bits;
  for (const auto& row : table.rows) bits.insert(row.bits);
  for (std::size_t t = 0; t < table.texts.size(); ++t) {
    const auto& text = table.texts[t];
    for (const int b : bits) {
      out += fmt::format(
          "\n{}, {} bits: {} tokens scored in {} windows, the original's perplexity {}\n"
          "{:<24}{:>10}{:>9}{:>10}{:>9}{:>8}{:>11}{:>9}{:>9}{:>8}{:>12}\n",
          text.name, b, text.tokens, text.windows, finite_or_dash(text.perplexity, "{:.3f}"), "row",
          "mean KL", "s.e.", "99 % KL", "of " + table.baseline, "s.e.", "perplexity", "top-1 %",
          "seconds", "bits", "memory");
      for (const auto& row : table.rows)
        if (row.bits == b) out += row_line(row, t);
    }
  }
  return out;
}

Json to_json(const QualityTable& table) {
  Json json{{"model", table.model},       {"parameters", table.parameters},
            {"machine", table.machine},   {"calibration", table.calibration},
            {"baseline", table.baseline}, {"complete", table.complete()}};
  json["texts"] = Json::array();
  for (const auto& text : table.texts) {
    Json entry{{"name", text.name},
               {"file", text.file},
               {"tokens", text.tokens},
               {"windows", text.windows}};
    put_number(entry, "perplexity", text.perplexity, "no row was scored");
    json["texts"].push_back(std::move(entry));
  }
  json["rows"] = Json::array();
  for (const auto& row : table.rows) json["rows"].push_back(to_json(row, table));
  return json;
}

}  // namespace whit::report
