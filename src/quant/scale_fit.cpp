#include "quant/scale_fit.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "compute/host/grid.h"

namespace whit::quant {

namespace {

constexpr int kSettling = 4;         // passes over a row's groups after rounding
constexpr double kLeastGain = 1e-3;  // of t A t: far above what the sums were rounded by

// One row: its system and the scales that it starts from.
struct Row {
  std::int64_t groups;
  const double* a;
  const double* r;
  const float* old;
  tensor::Dtype dtype;
};

// The storable scale next to old (1 + t); `now` where that is no number of its sign.
float moved(const Row& row, std::int64_t g, double t, float now) {
  const auto scale = static_cast<float>(static_cast<double>(row.old[g]) * (1 + t));
  const float sign = std::copysign(1.0F, now);
  return std::isfinite(scale) && scale * sign > 0
             ? sign * compute::host::storable_scale(sign * scale, row.dtype)
             : now;
}

double change(const Row& row, std::int64_t g, float scale) {
  return static_cast<double>(scale) / static_cast<double>(row.old[g]) - 1;
}

// Moves storable scales, one group after the other, to the best while the others stay. Whether the
// row's error is then surely less than with the old ones.
bool settle(const Row& row, std::vector<float>& scales) {
  std::vector<double> t(scales.size());
  std::vector<double> left(row.r, row.r + row.groups);  // r - A t
  const auto step = [&](std::int64_t g, double by) {
    t[static_cast<std::size_t>(g)] += by;
    for (std::int64_t h = 0; h < row.groups; ++h)
      left[static_cast<std::size_t>(h)] -= by * row.a[g * row.groups + h];
  };
  for (std::int64_t g = 0; g < row.groups; ++g)
    if (const double by = change(row, g, scales[static_cast<std::size_t>(g)]); by != 0) step(g, by);
  bool settled = false;
  for (int pass = 0; pass < kSettling && !settled; ++pass) {
    settled = true;
    for (std::int64_t g = 0; g < row.groups; ++g) {
      const auto at = static_cast<std::size_t>(g);
      const double curvature = row.a[g * row.groups + g];
      if (!(curvature > 0)) continue;
      const float next = moved(row, g, t[at] + left[at] / curvature, scales[at]);
      const double by = change(row, g, next) - t[at];
      if (next == scales[at] || !(2 * by * left[at] > by * by * curvature)) continue;
      scales[at] = next;
      step(g, by);
      settled = false;
    }
  }
  double gain = 0;    // 2 r·t - t A t
  double square = 0;  // t A t
  for (std::size_t g = 0; g < t.size(); ++g) {
    gain += t[g] * (row.r[g] + left[g]);
    square += t[g] * (row.r[g] - left[g]);
  }
  return gain > kLeastGain * square && gain > 0;
}

}  // namespace

ScaleFit::ScaleFit(std::int64_t rows, std::int64_t groups)
    : rows_(rows),
      groups_(groups),
      a_(static_cast<std::size_t>(rows * groups * groups)),
      r_(static_cast<std::size_t>(rows * groups)) {}

void ScaleFit::set_group(std::int64_t g, const std::vector<double>& products,
                         const std::vector<double>& slopes) {
  base::check(static_cast<std::int64_t>(products.size()) == rows_ * (g + 1) &&
                  static_cast<std::int64_t>(slopes.size()) == rows_,
              "ScaleFit: sizes");
  for (std::int64_t n = 0; n < rows_; ++n) {
    double* a = a_.data() + n * groups_ * groups_;
    for (std::int64_t h = 0; h <= g; ++h) {
      const double product = products[static_cast<std::size_t>(n * (g + 1) + h)];
      a[g * groups_ + h] = product;
      a[h * groups_ + g] = product;
    }
    r_[static_cast<std::size_t>(n * groups_ + g)] = slopes[static_cast<std::size_t>(n)];
    // A group whose values are all 0 has no say: any scale will do.
    if (!(a[g * groups_ + g] > 0)) a[g * groups_ + g] = 1;
  }
}

void ScaleFit::solve(compute::Solve& solver) {
  t_ = r_;
  solver.solve_small(groups_, a_, t_);
}

void ScaleFit::apply(tensor::Dtype scale_dtype, tensor::MatrixView scales) const {
  for (std::int64_t n = 0; n < rows_; ++n) {
    float* mine = scales.row<float>(n);
    const Row row{groups_, a_.data() + n * groups_ * groups_, r_.data() + n * groups_, mine,
                  scale_dtype};
    std::vector<float> found(mine, mine + groups_);
    for (std::int64_t g = 0; g < groups_; ++g)
      found[static_cast<std::size_t>(g)] =
          moved(row, g, t_[static_cast<std::size_t>(n * groups_ + g)], mine[g]);
    bool better = settle(row, found);
    if (!better) {  // rounding has undone it: begin at the old scales
      found.assign(mine, mine + groups_);
      better = settle(row, found);
    }
    if (better) std::copy(found.begin(), found.end(), mine);
  }
}

}  // namespace whit::quant
