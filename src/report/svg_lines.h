#pragma once

#include <string>
#include <vector>

namespace whit::report {

// One value for every place on the x axis; NaN: none there.
struct PlotSeries {
  std::string name;
  std::vector<double> values;
};

// Lines over 0, 1, 2, ..., y from zero; a line breaks where a value is not finite, and a value
// alone is a dot. Series have the classes s0 to s5 of their places, then the same ones dashed. An
// SVG element as svg_plot.h makes them.
std::string line_chart(const std::string& title, const std::string& x_unit,
                       const std::string& y_unit, const std::vector<PlotSeries>& series);

// What a series looks like, beside its name: HTML.
std::string line_legend(const std::vector<std::string>& names);

}  // namespace whit::report
