#include "report/quality_html.h"

#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <set>

#include "base/memory.h"
#include "report/html_page.h"
#include "report/svg_plot.h"

namespace whit::report {

namespace {

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
  std::string body = fmt::format(
      "<p>KL(original || quantized), nats a token; {} parameters; calibration: {}; {}.</p>\n",
      table.parameters, escape_xml(table.calibration.empty() ? "none" : table.calibration),
      escape_xml(table.machine));
  std::set<int, std::greater<>> bits;
  for (const auto& row : table.rows) bits.insert(row.bits);
  for (std::size_t text = 0; text < table.texts.size(); ++text)
    for (const int b : bits) body += section(table, b, text);
  return html_page(title, body + legend(table));
}

}  // namespace whit::report
