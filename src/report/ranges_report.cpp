#include "report/ranges_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <string_view>

#include "formats/inc_measurement.h"
#include "report/html_page.h"
#include "report/svg_lines.h"
#include "report/svg_plot.h"

namespace whit::report {

namespace {

// "model.layers.3.mlp.gate" -> 3 and "mlp.gate"; names without a layer as they are, and -1.
struct Place {
  int layer = -1;
  std::string module;
};

Place place_of(const std::string& name) {
  for (const std::string_view word : {"layers.", "h."}) {
    const auto at = name.find(word);
    if (at == std::string::npos || (at > 0 && name[at - 1] != '.')) continue;
    const char* begin = name.data() + at + word.size();
    const char* end = name.data() + name.size();
    int layer = 0;
    const auto [rest, error] = std::from_chars(begin, end, layer);
    if (error != std::errc() || rest == end || *rest != '.' || layer < 0) continue;
    return {layer, std::string(rest + 1, end)};
  }
  return {-1, name};
}

class Collector {
 public:
  explicit Collector(const std::string& name) { run_.name = name; }

  void add(const Place& place, const std::string& tensor, const stats::Range& range) {
    const std::string key = place.module + " " + tensor;
    const auto [entry, added] = places_.try_emplace(key, run_.series.size());
    if (added) run_.series.push_back({key, {}});
    double& most = run_.series[entry->second].maxima[place.layer];
    for (const double value : range) most = std::max(most, value);
  }

  void add_op(const Place& place, const stats::OpRanges& op) {
    for (std::size_t i = 0; i < op.inputs.size(); ++i)
      add(place, fmt::format("inputs[{}]", i), op.inputs[i]);
    for (std::size_t i = 0; op.outputs && i < op.outputs->size(); ++i)
      add(place, fmt::format("outputs[{}]", i), (*op.outputs)[i]);
    for (const auto& [name, range] : op.params) add(place, name, range);
  }

  void add_moe(const Place& place, const stats::MoeRanges& moe) {
    for (const auto& slice : moe.slices) add_op(place, slice);
    for (const auto& expert : moe.experts)
      if (expert.intermediate) add(place, "experts", *expert.intermediate);
    for (const auto& expert : moe.experts)
      for (const auto& [list, op] : expert.matrices)
        if (const auto weight = op.params.find("weight"); weight != op.params.end())
          add(place, list + " weight", weight->second);
    for (std::size_t e = 0; e < moe.experts.size(); ++e)
      if (moe.experts[e].intermediate)
        add(place, fmt::format("expert {}", moe.first_expert + static_cast<std::int64_t>(e)),
            *moe.experts[e].intermediate);
  }

  RangesRun take() { return std::move(run_); }

 private:
  RangesRun run_;
  std::map<std::string, std::size_t> places_;
};

bool is_single_expert(const std::string& tensor) {
  return tensor.find(" expert ") != std::string::npos;
}

bool is_cache(const std::string& tensor) {
  return tensor.find("_cache") != std::string::npos;
}

// Tensors of all runs in the order in which they appear; caches first.
std::vector<std::string> tensors_of(const std::vector<RangesRun>& runs) {
  std::vector<std::string> tensors;
  for (const auto& run : runs)
    for (const auto& series : run.series)
      if (!is_single_expert(series.tensor) &&
          std::find(tensors.begin(), tensors.end(), series.tensor) == tensors.end())
        tensors.push_back(series.tensor);
  std::stable_partition(tensors.begin(), tensors.end(), is_cache);
  return tensors;
}

const RangeSeries* find_series(const RangesRun& run, const std::string& tensor) {
  const auto found =
      std::find_if(run.series.begin(), run.series.end(),
                   [&](const RangeSeries& series) { return series.tensor == tensor; });
  return found == run.series.end() ? nullptr : &*found;
}

std::vector<double> over_layers(const RangeSeries& series) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> values(static_cast<std::size_t>(series.maxima.rbegin()->first) + 1, kNone);
  for (const auto& [layer, most] : series.maxima)
    if (layer >= 0) values[static_cast<std::size_t>(layer)] = most;
  return values;
}

std::string plot_of(const std::vector<RangesRun>& runs, const std::string& tensor) {
  std::vector<PlotSeries> lines;
  for (const auto& run : runs) {
    const auto* series = find_series(run, tensor);
    lines.push_back({run.name, {}});
    if (series != nullptr && series->maxima.rbegin()->first >= 0)
      lines.back().values = over_layers(*series);
  }
  return fmt::format("<figure>\n<figcaption>{}</figcaption>\n{}</figure>\n", escape_xml(tensor),
                     line_chart(tensor, "layer", "largest magnitude", lines));
}

// What has no layers: a table.
std::string table_of(const std::vector<RangesRun>& runs, const std::vector<std::string>& tensors) {
  std::string rows;
  for (const auto& tensor : tensors) {
    rows += fmt::format("<tr><td>{}</td>", escape_xml(tensor));
    for (const auto& run : runs) {
      const auto* series = find_series(run, tensor);
      const auto most = series == nullptr ? std::nullopt : [&]() -> std::optional<double> {
        const auto found = series->maxima.find(-1);
        return found == series->maxima.end() ? std::nullopt : std::optional(found->second);
      }();
      rows += most ? fmt::format("<td>{:.6g}</td>", *most) : "<td>-</td>";
    }
    rows += "</tr>\n";
  }
  std::string head = "<tr><th>tensor</th>";
  for (const auto& run : runs) head += fmt::format("<th>{}</th>", escape_xml(run.name));
  return fmt::format(
      "<div class=\"scroll\"><table>\n<thead>{}</tr></thead>\n<tbody>\n{}</tbody></table></div>\n",
      head, rows);
}

}  // namespace

RangesRun ranges_run(const std::string& name, const std::vector<stats::RankRanges>& ranks) {
  Collector collector(name);
  for (const auto& rank : ranks)
    for (const auto& module : rank.order) {
      const Place place = place_of(module);
      if (const auto op = rank.ops.find(module); op != rank.ops.end())
        collector.add_op(place, op->second);
      else
        collector.add_moe(place, rank.moes.at(module));
    }
  return collector.take();
}

RangesRun read_ranges_run(const std::string& name, const std::filesystem::path& folder,
                          const formats::IncRunQuery& query) {
  std::vector<stats::RankRanges> ranks;
  for (auto& measurement : formats::read_measurements(formats::find_measurements(folder, query)))
    ranks.push_back(std::move(measurement.ranges));
  return ranges_run(name, ranks);
}

std::string to_csv(const std::vector<RangesRun>& runs) {
  // A name with a comma or a quote is quoted.
  const auto cell = [](const std::string& text) {
    if (text.find_first_of(",\"\n") == std::string::npos) return text;
    std::string out = "\"";
    for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
    return out + "\"";
  };
  std::string out = "run,layer,tensor,maximum\n";
  for (const auto& run : runs)
    for (const auto& series : run.series)
      for (const auto& [layer, most] : series.maxima)
        out += fmt::format("{},{},{},{}\n", cell(run.name),
                           layer < 0 ? std::string() : std::to_string(layer), cell(series.tensor),
                           most);
  return out;
}

std::string ranges_html(const std::vector<RangesRun>& runs) {
  std::vector<std::string> names;
  for (const auto& run : runs) names.push_back(run.name);
  std::string plots;
  std::vector<std::string> outside;
  for (const auto& tensor : tensors_of(runs)) {
    const bool layered = std::any_of(runs.begin(), runs.end(), [&](const RangesRun& run) {
      const auto* series = find_series(run, tensor);
      return series != nullptr && series->maxima.rbegin()->first >= 0;
    });
    if (layered)
      plots += plot_of(runs, tensor);
    else
      outside.push_back(tensor);
  }
  std::string body =
      "<p>The largest magnitude that calibration saw of every tensor, by layer.</p>\n" +
      line_legend(names) + "<div class=\"plots\">\n" + plots + "</div>\n";
  if (!outside.empty()) body += "<h2>Outside the layers</h2>\n" + table_of(runs, outside);
  return html_page(
      "Ranges of " + std::to_string(runs.size()) + (runs.size() == 1 ? " run" : " runs"), body);
}

}  // namespace whit::report
