#include "report/svg_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/json.h"

namespace whit::report {

namespace {

constexpr double kWidth = 560, kCharacter = 7, kLine = 16;

std::string line(double x1, double y1, double x2, double y2, std::string_view style) {
  return fmt::format(
      "<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", style, x1,
      y1, x2, y2);
}

std::string words(double x, double y, std::string_view anchor, std::string_view text) {
  return fmt::format(
      "<text class=\"label\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y,
      anchor, escape_xml(text));
}

std::string frame(const std::string& title, double height, const std::string& content) {
  return fmt::format(
      "<svg viewBox=\"0 0 {0:.0f} {1:.0f}\" role=\"img\" "
      "aria-label=\"{2}\">\n<title>{2}</title>\n{3}</svg>\n",
      kWidth, height, escape_xml(title), content);
}

// The largest value that an axis must hold, whiskers included.
double reach(const PlotValue& value) {
  if (!std::isfinite(value.value)) return 0;
  return value.value + (std::isfinite(value.standard_error) ? 2 * value.standard_error : 0);
}

std::string whisker(const PlotValue& value, double y, double scale, double left) {
  if (!std::isfinite(value.standard_error)) return {};
  const double from = left + scale * std::max(0.0, value.value - 2 * value.standard_error);
  const double to = left + scale * (value.value + 2 * value.standard_error);
  return line(from, y, to, y, "error") + line(from, y - 4, from, y + 4, "error") +
         line(to, y - 4, to, y + 4, "error");
}

struct Label {
  double x, y;
  std::string text;
};

// Labels that would lie on one another move down.
void spread(std::vector<Label>& labels) {
  std::sort(labels.begin(), labels.end(), [](const auto& a, const auto& b) { return a.y < b.y; });
  const auto width = [](const Label& l) { return kCharacter * static_cast<double>(l.text.size()); };
  for (std::size_t i = 0; i < labels.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      const bool beside = labels[i].x + width(labels[i]) < labels[j].x ||
                          labels[j].x + width(labels[j]) < labels[i].x;
      if (!beside && std::abs(labels[i].y - labels[j].y) < 12) labels[i].y = labels[j].y + 12;
    }
}

// A step of 1, 2 or 5 times a power of ten, at least `least`.
double round_step(double least) {
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= least * (1 - 1e-9)) return factor * power;
  return 10 * power;
}

bool plottable(const PlotPoint& point) {
  return std::isfinite(point.x) && point.x > 0 && std::isfinite(point.y.value);
}

// The area of a scatter chart, and where values lie in it.
struct Area {
  double left = 60, right = kWidth - 20, top = 14, bottom = 290;
  double log_low, log_high, high;

  double x(double value) const {
    return left + (right - left) * (std::log10(value) - log_low) / (log_high - log_low);
  }
  double y(double value) const { return bottom - (bottom - top) * value / high; }
};

std::string scatter_axes(const Area& area, const std::vector<double>& x_ticks,
                         const std::vector<double>& y_ticks, const std::string& x_unit,
                         const std::string& y_unit) {
  std::string out;
  for (const double tick : x_ticks) {
    out += line(area.x(tick), area.top, area.x(tick), area.bottom, "grid");
    out += words(area.x(tick), area.bottom + kLine, "middle", fmt::format("{:g}", tick));
  }
  for (const double tick : y_ticks) {
    out += line(area.left, area.y(tick), area.right, area.y(tick), tick == 0 ? "axis" : "grid");
    out += words(area.left - 6, area.y(tick) + 4, "end", fmt::format("{:g}", tick));
  }
  out += words((area.left + area.right) / 2, area.bottom + 2.2 * kLine, "middle", x_unit);
  return out + words(area.left + 4, area.top + 4, "start", y_unit);
}

}  // namespace

std::string escape_xml(std::string_view text) {
  // The JSON writer is what mends broken UTF-8 in this program.
  const auto quoted = dump(Json(std::string(text)), -1);
  const auto mended = Json::parse(quoted).get<std::string>();
  std::string out;
  for (const char c : mended) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t') out += c;
    }
  }
  return out;
}

std::vector<double> linear_ticks(double largest) {
  if (!(largest > 0) || !std::isfinite(largest)) return {0, 1};
  const double step = round_step(largest / 5);
  std::vector<double> ticks{0};
  while (ticks.back() < largest * (1 - 1e-9))
    ticks.push_back(step * static_cast<double>(ticks.size()));
  return ticks;
}

std::vector<double> logarithmic_ticks(double smallest, double largest) {
  std::vector<double> ticks;
  const double first = std::floor(std::log10(smallest));
  for (double power = first; ticks.size() < 2 || ticks.back() < largest; ++power)
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double tick = factor * std::pow(10.0, power);
      if (tick <= smallest) ticks.clear();
      if (ticks.size() < 2 || ticks.back() < largest) ticks.push_back(tick);
    }
  return ticks;
}

std::string bar_chart(const std::string& title, const std::string& unit,
                      const std::vector<PlotValue>& values) {
  constexpr double kBar = 16, kPitch = 24, kTop = 8;
  double largest = 0;
  std::size_t widest = 4;
  for (const auto& value : values) {
    largest = std::max(largest, reach(value));
    widest = std::max(widest, value.label.size());
  }
  const auto ticks = linear_ticks(largest);
  const double left = std::min(kCharacter * static_cast<double>(widest) + 12, kWidth / 2);
  const double scale = (kWidth - left - 64) / ticks.back();
  const double bottom = kTop + kPitch * static_cast<double>(values.size());
  std::string out;
  for (const double tick : ticks) {
    const double x = left + scale * tick;
    out += line(x, kTop, x, bottom, tick == 0 ? "axis" : "grid");
    out += words(x, bottom + kLine, "middle", fmt::format("{:g}", tick));
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto& value = values[i];
    const double y = kTop + kPitch * static_cast<double>(i) + (kPitch - kBar) / 2;
    out += words(left - 6, y + kBar - 4, "end", value.label);
    if (!std::isfinite(value.value)) {
      out += words(left + 6, y + kBar - 4, "start", "-");
      continue;
    }
    out += fmt::format(
        "<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>\n",
        value.base ? "bar-base" : "bar", left, y, scale * value.value, kBar);
    out += whisker(value, y + kBar / 2, scale, left);
    out += words(left + scale * reach(value) + 6, y + kBar - 4, "start",
                 fmt::format("{:.4g}", value.value));
  }
  out += words((left + kWidth) / 2, bottom + 2.2 * kLine, "middle", unit);
  return frame(title, bottom + 3 * kLine, out);
}

std::string scatter_chart(const std::string& title, const std::string& x_unit,
                          const std::string& y_unit, const std::vector<PlotPoint>& points) {
  double low = 0, high_x = 0, high_y = 0;
  for (const auto& point : points) {
    if (!plottable(point)) continue;
    low = low == 0 ? point.x : std::min(low, point.x);
    high_x = std::max(high_x, point.x);
    high_y = std::max(high_y, reach(point.y));
  }
  Area area{};
  if (low == 0)
    return frame(title, area.bottom, words(kWidth / 2, 60, "middle", "nothing measured"));
  const auto x_ticks = logarithmic_ticks(low, high_x);
  const auto y_ticks = linear_ticks(high_y);
  area.log_low = std::log10(x_ticks.front());
  area.log_high = std::log10(x_ticks.back());
  area.high = y_ticks.back();
  std::string out = scatter_axes(area, x_ticks, y_ticks, x_unit, y_unit);
  std::vector<Label> labels;
  for (const auto& point : points) {
    if (!plottable(point)) continue;
    const double x = area.x(point.x), y = area.y(point.y.value);
    if (std::isfinite(point.y.standard_error))
      out += line(x, area.y(std::max(0.0, point.y.value - 2 * point.y.standard_error)), x,
                  area.y(reach(point.y)), "error");
    out += fmt::format("<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"/>\n",
                       point.y.base ? "dot-base" : "dot", x, y);
    const double width = kCharacter * static_cast<double>(point.y.label.size());
    labels.push_back({x + 8 + width > kWidth ? x - 8 - width : x + 8, y + 4, point.y.label});
  }
  spread(labels);
  for (const auto& label : labels) out += words(label.x, label.y, "start", label.text);
  return frame(title, area.bottom + 3 * kLine, out);
}

}  // namespace whit::report
