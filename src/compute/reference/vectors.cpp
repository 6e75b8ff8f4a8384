#include <algorithm>
#include <limits>
#include <utility>

#include "base/checked.h"
#include "compute/host/vector_codes.h"
#include "compute/reference/parts.h"

namespace whit::compute::reference {

namespace {

using host::squared_distance;

struct Neighbour {
  double square = 0;
  std::int32_t index = 0;
  bool operator<(const Neighbour& other) const {
    return std::pair(square, index) < std::pair(other.square, other.index);
  }
};

std::vector<Neighbour> neighbours(const float* x, ConstMatrixView centroids) {
  std::vector<Neighbour> all;
  for (std::int64_t c = 0; c < centroids.rows; ++c)
    all.push_back({squared_distance(x, centroids.row<float>(c), centroids.cols),
                   static_cast<std::int32_t>(c)});
  return all;
}

// The code of one chunk and what it decodes to.
struct Choice {
  double square = std::numeric_limits<double>::infinity();
  std::int32_t index = -1;
  std::int32_t residual = -1;
};

bool is_in(std::int32_t index, std::int64_t count) {
  return index >= 0 && index < count;
}

Choice choose(const VectorSweepArgs& args, const float* x, Choice best) {
  const std::int64_t length = args.centroids.cols;
  const bool pairs = args.residuals.data != nullptr;
  if (is_in(best.index, args.centroids.rows) &&
      (!pairs || is_in(best.residual, args.residuals.rows))) {
    const float* c = args.centroids.row<float>(best.index);
    best.square = pairs ? squared_distance(x, c, args.residuals.row<float>(best.residual), length)
                        : squared_distance(x, c, length);
  } else {
    best = {};
  }
  auto near = neighbours(x, args.centroids);
  std::sort(near.begin(), near.end());
  if (!pairs) {
    if (near.front().square < best.square) best = {near.front().square, near.front().index, -1};
    return best;
  }
  const auto tried = std::min<std::size_t>(near.size(), static_cast<std::size_t>(args.beam));
  std::vector<float> rest(static_cast<std::size_t>(length));
  for (std::size_t b = 0; b < tried; ++b) {
    const float* c = args.centroids.row<float>(near[b].index);
    for (std::int64_t d = 0; d < length; ++d) rest[static_cast<std::size_t>(d)] = x[d] - c[d];
    const auto left = neighbours(rest.data(), args.residuals);
    const Neighbour second = *std::min_element(left.begin(), left.end());
    const double square = squared_distance(x, c, args.residuals.row<float>(second.index), length);
    if (square < best.square) best = {square, near[b].index, second.index};
  }
  return best;
}

class ReferenceVectors final : public Vectors {
 public:
  void nearest(ConstMatrixView x, ConstMatrixView centroids, std::span<std::int32_t> labels,
               std::span<double> squares) override {
    host::check_nearest(x, centroids, labels, squares);
    for (std::int64_t i = 0; i < x.rows; ++i) {
      const auto all = neighbours(x.row<float>(i), centroids);
      const Neighbour best = *std::min_element(all.begin(), all.end());
      labels[static_cast<std::size_t>(i)] = best.index;
      if (!squares.empty()) squares[static_cast<std::size_t>(i)] = best.square;
    }
  }

  double assign(ConstMatrixView x, std::span<const float> weights, ConstMatrixView centroids,
                std::span<std::int32_t> labels) override {
    std::vector<double> squares(labels.size());
    nearest(x, centroids, labels, squares);
    return host::weighted_total(weights, squares);
  }

  std::vector<double> weighted_sums(ConstMatrixView x, std::span<const float> weights,
                                    std::span<const std::int32_t> labels,
                                    std::int64_t clusters) override {
    host::check_sums(x, weights, labels);
    host::check_labels(labels, clusters);
    std::vector<double> sums(static_cast<std::size_t>(clusters * (x.cols + 1)), 0.0);
    for (std::int64_t i = 0; i < x.rows; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const double weight = weights.empty() ? 1.0 : static_cast<double>(weights[at]);
      double* sum = sums.data() + labels[at] * (x.cols + 1);
      for (std::int64_t d = 0; d < x.cols; ++d)
        sum[d] += weight * static_cast<double>(x.row<float>(i)[d]);
      sum[x.cols] += weight;
    }
    return sums;
  }

  void sweep(const VectorSweepArgs& args, ConstMatrixView t0, ConstMatrixView t, MatrixView indices,
             MatrixView residual_indices, MatrixView error) override {
    host::check_vector_sweep(args, t0, t, indices, residual_indices, error);
    for (std::int64_t k = 0; k < t.cols; ++k)
      for (std::int64_t p = 0; p < indices.rows; ++p)
        round_chunk(args, t0, t, {p, k}, indices, residual_indices, error);
  }

 private:
  struct Place {
    std::int64_t chunk, column;
  };

  static void round_chunk(const VectorSweepArgs& args, ConstMatrixView t0, ConstMatrixView t,
                          Place at, MatrixView indices, MatrixView residual_indices,
                          MatrixView error) {
    const std::int64_t length = args.centroids.cols;
    const std::int64_t first = at.chunk * length;
    const std::int64_t rows = std::min(length, t.rows - first);
    std::vector<float> target(static_cast<std::size_t>(length), 0.0F);
    for (std::int64_t d = 0; d < rows; ++d) {
      double sum = static_cast<double>(t.row<float>(first + d)[at.column]);
      for (std::int64_t j = 0; j < at.column; ++j)
        sum += static_cast<double>(error.row<float>(first + d)[j]) *
               static_cast<double>(args.u.row<float>(j)[at.column]);
      target[static_cast<std::size_t>(d)] = static_cast<float>(sum);
    }
    const bool pairs = args.residuals.data != nullptr;
    std::int32_t& index = indices.row<std::int32_t>(at.chunk)[at.column];
    Choice choice;
    choice.index = index;
    if (pairs) choice.residual = residual_indices.row<std::int32_t>(at.chunk)[at.column];
    choice = choose(args, target.data(), choice);
    index = choice.index;
    if (pairs) residual_indices.row<std::int32_t>(at.chunk)[at.column] = choice.residual;
    for (std::int64_t d = 0; d < rows; ++d) {
      float q = args.centroids.row<float>(choice.index)[d];
      if (pairs) q += args.residuals.row<float>(choice.residual)[d];
      error.row<float>(first + d)[at.column] = t0.row<float>(first + d)[at.column] - q;
    }
  }
};

}  // namespace

std::unique_ptr<Vectors> make_vectors() {
  return std::make_unique<ReferenceVectors>();
}

}  // namespace whit::compute::reference
