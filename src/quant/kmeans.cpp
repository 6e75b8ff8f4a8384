#include "quant/kmeans.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/random.h"

namespace whit::quant {

namespace {

using tensor::ConstMatrixView;
using tensor::Tensor;

Tensor gathered(compute::Backend& backend, ConstMatrixView x, std::span<const std::int32_t> rows) {
  Tensor out = backend.memory().allocate({static_cast<std::int64_t>(rows.size()), x.cols},
                                         tensor::Dtype::kF32);
  backend.neural().gather_rows(x, rows, out.matrix());
  return out;
}

std::vector<std::int32_t> drawn_rows(std::int64_t count, std::int64_t wanted,
                                     base::Random& random) {
  std::vector<std::int32_t> rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), 0);
  for (std::size_t i = 0; i < static_cast<std::size_t>(wanted); ++i)
    std::swap(
        rows[i],
        rows[i + static_cast<std::size_t>(random.below(static_cast<std::uint64_t>(count) - i))]);
  rows.resize(static_cast<std::size_t>(wanted));
  return rows;
}

double weight_of(std::span<const float> weights, std::size_t i) {
  return weights.empty() ? 1.0 : static_cast<double>(weights[i]);
}

// The first place where the running sum of `mass` passes a random part of the whole.
std::int32_t drawn_by_mass(const std::vector<double>& mass, base::Random& random) {
  const double whole = std::accumulate(mass.begin(), mass.end(), 0.0);
  if (!(whole > 0)) return static_cast<std::int32_t>(random.below(mass.size()));
  const double at = whole * static_cast<double>(random.next() >> 11) * 0x1p-53;
  double sum = 0;
  for (std::size_t i = 0; i < mass.size(); ++i) {
    sum += mass[i];
    if (sum > at) return static_cast<std::int32_t>(i);
  }
  return static_cast<std::int32_t>(mass.size() - 1);
}

// k-means++ (Arthur, Vassilvitskii, SODA 2007): one pass over the vectors for each centroid.
std::vector<std::int32_t> spread_rows(compute::Backend& backend, ConstMatrixView x,
                                      std::span<const float> weights, std::int64_t wanted,
                                      base::Random& random) {
  const auto count = static_cast<std::size_t>(x.rows);
  std::vector<double> square(count, std::numeric_limits<double>::max());
  std::vector<double> mass(count);
  for (std::size_t i = 0; i < count; ++i) mass[i] = weight_of(weights, i);
  std::vector<double> to_new(count);
  std::vector<std::int32_t> labels(count, 0);
  std::vector<std::int32_t> rows;
  for (std::int64_t c = 0; c < wanted; ++c) {
    rows.push_back(drawn_by_mass(mass, random));
    const Tensor newest = gathered(backend, x, std::span(rows).last(1));
    backend.vectors().nearest(x, newest.matrix(), labels, to_new);
    for (std::size_t i = 0; i < count; ++i) {
      square[i] = std::min(square[i], to_new[i]);
      mass[i] = weight_of(weights, i) * square[i];
    }
  }
  return rows;
}

void check_weights(std::span<const float> weights, std::int64_t count) {
  base::check(weights.empty() || static_cast<std::int64_t>(weights.size()) == count,
              "kmeans: one weight a vector");
  base::check(std::all_of(weights.begin(), weights.end(), [](float w) { return w >= 0; }),
              "kmeans: weights >= 0");
}

}  // namespace

double move_centroids(compute::Backend& backend, ConstMatrixView x, std::span<const float> weights,
                      std::span<const std::int32_t> labels, Tensor& centroids) {
  Tensor host = backend.memory().download(centroids.view());
  const std::int64_t clusters = host.shape()[0];
  const std::vector<double> sums = backend.vectors().weighted_sums(x, weights, labels, clusters);
  double moved = 0;
  for (std::int64_t c = 0; c < clusters; ++c) {
    const double* sum = sums.data() + c * (x.cols + 1);
    if (!(sum[x.cols] > 0)) continue;
    float* centroid = host.as<float>() + c * x.cols;
    for (std::int64_t d = 0; d < x.cols; ++d) {
      const auto next = static_cast<float>(sum[d] / sum[x.cols]);
      const double by = static_cast<double>(next) - static_cast<double>(centroid[d]);
      moved += by * by;
      centroid[d] = next;
    }
  }
  centroids = backend.memory().upload(host.view());
  return moved;
}

KMeans kmeans(compute::Backend& backend, ConstMatrixView x, std::span<const float> weights,
              const KMeansArgs& args) {
  base::check(args.clusters > 0 && args.iterations >= 0, "kmeans: clusters and iterations");
  check_weights(weights, x.rows);
  if (args.clusters > x.rows)
    base::fail(base::ErrorKind::kUsage, "--num-centroids",
               "{} centroids for {} vectors; expected no more centroids than vectors",
               args.clusters, x.rows);
  base::Random random(args.seed);
  const auto rows = args.start == KMeansStart::kSample
                        ? drawn_rows(x.rows, args.clusters, random)
                        : spread_rows(backend, x, weights, args.clusters, random);
  KMeans result;
  result.centroids = gathered(backend, x, rows);
  result.labels.assign(static_cast<std::size_t>(x.rows), -1);
  // Weights are scaled to sum to the vectors' number.
  const double whole = std::accumulate(weights.begin(), weights.end(), 0.0);
  const double scale = weights.empty() ? 1.0 : whole > 0 ? static_cast<double>(x.rows) / whole : 0;
  const auto assign = [&] {
    result.inertia =
        scale * backend.vectors().assign(x, weights, result.centroids.matrix(), result.labels);
  };
  assign();
  while (result.iterations < args.iterations && !result.converged) {
    const double before = result.inertia;
    const double moved = move_centroids(backend, x, weights, result.labels, result.centroids);
    ++result.iterations;
    assign();
    result.converged = moved < args.tolerance || before - result.inertia < args.least_gain * before;
  }
  return result;
}

}  // namespace whit::quant
