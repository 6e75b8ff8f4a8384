#include "compute/host/vector_codes.h"

#include <algorithm>

#include "base/checked.h"
#include "base/error.h"

namespace whit::compute::host {

double squared_distance(const float* x, const float* c, std::int64_t length) {
  double sum = 0;
  for (std::int64_t d = 0; d < length; ++d) {
    const double lost = static_cast<double>(x[d]) - static_cast<double>(c[d]);
    sum += lost * lost;
  }
  return sum;
}

double squared_distance(const float* x, const float* c, const float* r, std::int64_t length) {
  double sum = 0;
  for (std::int64_t d = 0; d < length; ++d) {
    const double lost =
        static_cast<double>(x[d]) - static_cast<double>(c[d]) - static_cast<double>(r[d]);
    sum += lost * lost;
  }
  return sum;
}

void check_nearest(ConstMatrixView x, ConstMatrixView centroids,
                   std::span<const std::int32_t> labels, std::span<const double> squares) {
  base::check(centroids.rows > 0 && centroids.cols > 0 && centroids.cols == x.cols,
              "nearest: centroids as long as the vectors");
  const auto count = static_cast<std::size_t>(x.rows);
  base::check(labels.size() == count && (squares.empty() || squares.size() == count),
              "nearest: one label a vector");
}

double weighted_total(std::span<const float> weights, std::span<const double> squares) {
  base::check(weights.empty() || weights.size() == squares.size(), "assign: one weight a vector");
  double total = 0;
  for (std::size_t begin = 0; begin < squares.size(); begin += kSummedVectors) {
    const std::size_t end = std::min(begin + kSummedVectors, squares.size());
    double sum = 0;
    for (std::size_t i = begin; i < end; ++i)
      sum += (weights.empty() ? 1.0 : static_cast<double>(weights[i])) * squares[i];
    total += sum;
  }
  return total;
}

void check_labels(std::span<const std::int32_t> labels, std::int64_t clusters) {
  base::check(std::all_of(labels.begin(), labels.end(),
                          [&](std::int32_t label) { return label >= 0 && label < clusters; }),
              "weighted_sums: labels within the clusters");
}

void check_sums(ConstMatrixView x, std::span<const float> weights,
                std::span<const std::int32_t> labels) {
  const auto count = static_cast<std::size_t>(x.rows);
  base::check(labels.size() == count && (weights.empty() || weights.size() == count),
              "weighted_sums: one label a vector");
}

void check_vector_sweep(const VectorSweepArgs& args, ConstMatrixView t0, ConstMatrixView t,
                        MatrixView indices, MatrixView residual_indices, MatrixView error) {
  const std::int64_t length = args.centroids.cols;
  base::check(args.centroids.rows > 0 && length > 0, "sweep: a codebook");
  base::check(
      args.residuals.data == nullptr || (args.residuals.rows > 0 && args.residuals.cols == length &&
                                         residual_indices.data != nullptr),
      "sweep: residuals as long as the centroids");
  base::check(args.beam > 0, "sweep: beam");
  const auto same = [&](ConstMatrixView m) { return m.rows == t.rows && m.cols == t.cols; };
  base::check(same(t0) && same(error) && args.u.rows == t.cols && args.u.cols == t.cols,
              "sweep: extents");
  const std::int64_t chunks = base::ceil_div(t.rows, length);
  const auto coded = [&](const MatrixView& m) {
    return m.dtype == tensor::Dtype::kI32 && m.rows == chunks && m.cols == t.cols;
  };
  base::check(coded(indices) && (args.residuals.data == nullptr || coded(residual_indices)),
              "sweep: I32 indices, one a chunk and column");
}

}  // namespace whit::compute::host
