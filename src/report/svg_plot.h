#pragma once

#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace whit::report {

// Plots as SVG elements to stand inside a page: well-formed XML, no style of their own but classes
// (axis, grid, bar, bar-base, error, dot, dot-base, label), no script and no reference.

// One value with its standard error (NaN: none).
struct PlotValue {
  std::string label;
  double value = 0;
  double standard_error = std::numeric_limits<double>::quiet_NaN();
  bool base = false;  // what the others are compared with
};

// Horizontal bars from zero, in the order given, each with a whisker of two standard errors.
// `unit` stands below the axis. Values that are not finite give no bar, but "-".
std::string bar_chart(const std::string& title, const std::string& unit,
                      const std::vector<PlotValue>& values);

struct PlotPoint {
  double x = 0;
  PlotValue y;
};

// Labelled points, x on a logarithmic scale, y from zero. Points that are not finite or whose x is
// not positive are left out.
std::string scatter_chart(const std::string& title, const std::string& x_unit,
                          const std::string& y_unit, const std::vector<PlotPoint>& points);

// Text as XML content or attribute value: & < > " ' escaped, control characters left out, bytes
// that are not UTF-8 replaced.
std::string escape_xml(std::string_view text);

// Round numbers from 0 to at least `largest`: 3 to 7 of them. {0, 1} where it is not positive.
std::vector<double> linear_ticks(double largest);
// Values 1, 2 or 5 times a power of ten that enclose [smallest, largest], both positive.
std::vector<double> logarithmic_ticks(double smallest, double largest);

}  // namespace whit::report
