#include "report/svg_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/svg_plot.h"

namespace whit::report {

namespace {

constexpr double kChartWidth = 560, kChartHeight = 300, kTextLine = 16;
constexpr double kChartLeft = 64, kChartRight = kChartWidth - 16, kChartTop = 18,
                 kChartBottom = 246;
constexpr std::size_t kColours = 6;

std::string style_of(std::size_t series) {
  std::string style = fmt::format("class=\"series s{}\"", series % kColours);
  if (const std::size_t turn = series / kColours; turn > 0)
    style += fmt::format(" stroke-dasharray=\"{} {}\"", 2 + 3 * turn, 3);
  return style;
}

struct Axes {
  double places = 1;  // of the last value
  double high = 1;

  double x(double place) const { return kChartLeft + (kChartRight - kChartLeft) * place / places; }
  double y(double value) const { return kChartBottom - (kChartBottom - kChartTop) * value / high; }
};

std::string grid(const Axes& axes, const std::vector<double>& x_ticks,
                 const std::vector<double>& y_ticks) {
  std::string out;
  for (const double tick : x_ticks) {
    if (tick > axes.places || tick != std::floor(tick)) continue;
    out += fmt::format(
        "<line class=\"grid\" x1=\"{0:.1f}\" y1=\"{1}\" x2=\"{0:.1f}\" y2=\"{2}\"/>\n<text "
        "class=\"label\" x=\"{0:.1f}\" y=\"{3}\" text-anchor=\"middle\">{4:g}</text>\n",
        axes.x(tick), kChartTop, kChartBottom, kChartBottom + kTextLine, tick);
  }
  for (const double tick : y_ticks)
    out += fmt::format(
        "<line class=\"{0}\" x1=\"{1}\" y1=\"{2:.1f}\" x2=\"{3}\" y2=\"{2:.1f}\"/>\n<text "
        "class=\"label\" x=\"{4}\" y=\"{5:.1f}\" text-anchor=\"end\">{6:g}</text>\n",
        tick == 0 ? "axis" : "grid", kChartLeft, axes.y(tick), kChartRight, kChartLeft - 6,
        axes.y(tick) + 4, tick);
  return out;
}

// The finite stretches of a series.
std::string strokes(const Axes& axes, const PlotSeries& series, std::size_t place) {
  std::string out, points;
  std::size_t count = 0;
  const auto end_stretch = [&] {
    if (count > 1) out += fmt::format("<polyline {} points=\"{}\"/>\n", style_of(place), points);
    if (count == 1)
      out += fmt::format(
          "<polyline {} style=\"stroke-linecap: round; stroke-width: 6\" points=\"{} {}\"/>\n",
          style_of(place), points, points);
    points.clear();
    count = 0;
  };
  for (std::size_t i = 0; i < series.values.size(); ++i) {
    if (!std::isfinite(series.values[i])) {
      end_stretch();
      continue;
    }
    points += fmt::format("{}{:.1f},{:.1f}", count++ == 0 ? "" : " ",
                          axes.x(static_cast<double>(i)), axes.y(series.values[i]));
  }
  end_stretch();
  return out;
}

}  // namespace

std::string line_chart(const std::string& title, const std::string& x_unit,
                       const std::string& y_unit, const std::vector<PlotSeries>& series) {
  double high = 0;
  std::size_t places = 2;
  for (const auto& one : series) {
    places = std::max(places, one.values.size());
    for (const double value : one.values)
      if (std::isfinite(value)) high = std::max(high, value);
  }
  const auto y_ticks = linear_ticks(high);
  const Axes axes{static_cast<double>(places - 1), y_ticks.back()};
  std::string out = grid(axes, linear_ticks(axes.places), y_ticks);
  for (std::size_t i = 0; i < series.size(); ++i) out += strokes(axes, series[i], i);
  return fmt::format(
      "<svg viewBox=\"0 0 {0:.0f} {1:.0f}\" role=\"img\" aria-label=\"{2}\">\n<title>{2}</title>\n"
      "{3}<text class=\"label\" x=\"{4}\" y=\"{5}\" text-anchor=\"middle\">{6}</text>\n<text "
      "class=\"label\" x=\"{7}\" y=\"12\" text-anchor=\"start\">{8}</text>\n</svg>\n",
      kChartWidth, kChartHeight, escape_xml(title), out, (kChartLeft + kChartRight) / 2,
      kChartBottom + 2.2 * kTextLine, escape_xml(x_unit), kChartLeft, escape_xml(y_unit));
}

std::string line_legend(const std::vector<std::string>& names) {
  std::string out = "<p>";
  for (std::size_t i = 0; i < names.size(); ++i)
    out += fmt::format(
        "<svg class=\"key\" viewBox=\"0 0 44 10\"><polyline {} points=\"2,5 42,5\"/></svg> {}{}\n",
        style_of(i), escape_xml(names[i]), i + 1 < names.size() ? " &#160; " : "");
  return out + "</p>\n";
}

}  // namespace whit::report
