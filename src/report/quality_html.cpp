#include "report/quality_html.h"

#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <set>

#include "base/memory.h"
#include "report/svg_plot.h"

namespace whit::report {

namespace {

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --ink: #1c1d20; --paper: #ffffff; --soft: #6b6f76; --rule: #dcdfe4;
  --bar: #3b74b9; --base: #9aa3ad; --error: #1c1d20; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e7ea; --paper: #17181b; --soft: #9aa0a8; --rule: #34373d; --bar: #6ea3e0;
    --base: #6b737d; --error: #e6e7ea; } }
body { background: var(--paper); color: var(--ink); font: 15px/1.45 system-ui, sans-serif;
  max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
p, figcaption { color: var(--soft); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1.5rem; }
figure { margin: 0; }
svg { width: 100%; height: auto; }
.axis { stroke: var(--ink); } .grid { stroke: var(--rule); } .error { stroke: var(--error); }
.bar, .dot { fill: var(--bar); } .bar-base, .dot-base { fill: var(--base); }
.label { fill: var(--ink); font: 12px system-ui, sans-serif; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1rem 0; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid var(--rule); text-align: right; }
th:first-child, td:first-child, td.left { text-align: left; }
code { font-size: .85em; }
)";

// "0.0512 ± 0.0011".
std::string with_error(double value, double error, const char* format) {
  const auto text = finite_or_dash(value, format);
  return std::isfinite(error) ? text + " ± " + finite_or_dash(error, format) : text;
}

std::string table_row(const QualityRowResult& row, std::size_t text) {
  std::string out = fmt::format("<tr><td>{}</td>", escape_xml(row.name));
  if (row.error)
    return out + fmt::format("<td class=\"left\" colspan=\"8\">{}</td></tr>\n",
                             escape_xml(row.error->what()));
  const auto& s = row.scores[text];
  const bool memory = std::isfinite(row.peak_memory_bytes);
  for (const auto& cell :
       {with_error(s.mean_kl_nats, s.mean_kl_standard_error_nats, "{:.5f}"),
        with_error(s.relative_kl, s.relative_kl_standard_error, "{:.3f}"),
        finite_or_dash(s.p99_kl_nats, "{:.4f}"), finite_or_dash(s.perplexity, "{:.3f}"),
        finite_or_dash(100 * s.top1_agreement, "{:.2f}"), seconds_text(row.seconds),
        finite_or_dash(row.bits_per_quantized_weight, "{:.4f}"),
        memory ? base::format_bytes(static_cast<std::uint64_t>(row.peak_memory_bytes)) : "-"})
    out += fmt::format("<td>{}</td>", cell);
  return out + "</tr>\n";
}

std::string table_of(const QualityTable& table, int bits, std::size_t text) {
  std::string out = fmt::format(
      "<div class=\"scroll\"><table>\n<thead><tr><th>row</th><th>mean KL, nats</th><th>of {}</th>"
      "<th>99 % KL</th><th>perplexity</th><th>top-1, %</th><th>seconds</th><th>bits a weight</th>"
      "<th>peak memory</th></tr></thead>\n<tbody>\n",
      escape_xml(table.baseline));
  for (const auto& row : table.rows)
    if (row.bits == bits) out += table_row(row, text);
  return out + "</tbody></table></div>\n";
}

std::string section(const QualityTable& table, int bits, std::size_t text) {
  const auto& t = table.texts[text];
  std::vector<PlotValue> bars;
  std::vector<PlotPoint> points;
  for (const auto& row : table.rows) {
    if (row.bits != bits) continue;
    PlotValue value{row.name, kUnknown, kUnknown, row.name == table.baseline};
    if (!row.error) {
      value.value = row.scores[text].mean_kl_nats;
      value.standard_error = row.scores[text].mean_kl_standard_error_nats;
      points.push_back({row.seconds, value});
    }
    bars.push_back(value);
  }
  const std::string title = fmt::format("{}, {} bits", t.name, bits);
  return fmt::format(
      "<section>\n<h2>{}</h2>\n<p>{} tokens scored in {} windows; the original's perplexity is "
      "{}.</p>\n<div class=\"plots\">\n<figure>\n{}</figure>\n<figure>\n{}</figure>\n</div>\n{}"
      "</section>\n",
      escape_xml(title), t.tokens, t.windows, finite_or_dash(t.perplexity, "{:.3f}"),
      bar_chart(title + ": mean KL", "mean KL, nats a token, with two standard errors", bars),
      scatter_chart(title + ": KL against seconds", "seconds of quantization", "mean KL, nats",
                    points),
      table_of(table, bits, text));
}

std::string legend(const QualityTable& table) {
  std::string out =
      "<section>\n<h2>Rows</h2>\n<table>\n<thead><tr><th>row</th><th class=\"left\">flags of whit "
      "quantize</th><th class=\"left\">does</th></tr></thead>\n<tbody>\n";
  std::set<std::string> seen;
  for (const auto& row : table.rows)
    if (seen.insert(row.name).second)
      out += fmt::format(
          "<tr><td>{}</td><td class=\"left\"><code>{}</code></td><td class=\"left\">{}</td></tr>\n",
          escape_xml(row.name), escape_xml(row.flags), escape_xml(row.does));
  return out + "</tbody></table>\n</section>\n";
}

}  // namespace

std::string to_html(const QualityTable& table) {
  const std::string title = "What quantizing " + table.model + " loses";
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta "
      "name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<title>{0}</title>\n<style>{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n"
      "<p>KL(original || quantized), nats a token; {2} parameters; calibration: {3}; {4}.</p>\n",
      escape_xml(title), kStyle, table.parameters,
      escape_xml(table.calibration.empty() ? "none" : table.calibration),
      escape_xml(table.machine));
  std::set<int, std::greater<>> bits;
  for (const auto& row : table.rows) bits.insert(row.bits);
  for (std::size_t text = 0; text < table.texts.size(); ++text)
    for (const int b : bits) out += section(table, b, text);
  return out + legend(table) + "</body>\n</html>\n";
}

}  // namespace whit::report
