#include <algorithm>
#include <numeric>

#include "base/checked.h"
#include "compute/cpu/centroids.h"
#include "compute/cpu/parallel.h"
#include "compute/cpu/parts.h"
#include "compute/cpu/vector.h"
#include "compute/host/vector_codes.h"

namespace whit::compute::cpu {

namespace {

constexpr std::int64_t kVectorsAtOnce = 512;
constexpr std::int64_t kClustersAtOnce = 64;
constexpr std::int64_t kChunksAtOnce = 8;

// The codes of the chunks of one column block, each chunk on its own way through the columns.
class ChunkSweep {
 public:
  ChunkSweep(const VectorSweepArgs& args, std::int64_t columns)
      : args_(args), columns_(columns), length_(args.centroids.cols), main_(args.centroids) {
    if (args.residuals.data != nullptr) second_.emplace(args.residuals);
    tried_ = std::min(args.beam, args.centroids.rows);
  }

  // target: [length, columns] scratch. The chunk's rows of t0, t and error, at most `length`.
  void run(ConstMatrixView t0, ConstMatrixView t, std::int32_t* index, std::int32_t* residual,
           MatrixView error, float* target) const {
    std::fill_n(target, length_ * columns_, 0.0F);
    for (std::int64_t d = 0; d < t.rows; ++d)
      std::copy_n(t.row<float>(d), columns_, target + d * columns_);
    std::vector<float> x(static_cast<std::size_t>(length_), 0.0F);
    std::vector<float> q(x.size());
    std::vector<Neighbour> near(static_cast<std::size_t>(tried_));
    for (std::int64_t k = 0; k < columns_; ++k) {
      for (std::int64_t d = 0; d < t.rows; ++d)
        x[static_cast<std::size_t>(d)] = target[d * columns_ + k];
      if (second_)
        choose_pair(x.data(), near, q, index[k], residual[k]);
      else
        choose(x.data(), index[k]);
      for (std::int64_t d = 0; d < t.rows; ++d) {
        float value = args_.centroids.row<float>(index[k])[d];
        if (second_) value += args_.residuals.row<float>(residual[k])[d];
        const float lost = t0.row<float>(d)[k] - value;
        error.row<float>(d)[k] = lost;
        add_scaled(lost, args_.u.row<float>(k) + k + 1, target + d * columns_ + k + 1,
                   columns_ - k - 1);
      }
    }
  }

 private:
  static bool is_in(std::int32_t index, std::int64_t count) { return index >= 0 && index < count; }

  void choose(const float* x, std::int32_t& index) const {
    Neighbour best;
    main_.find(x, index, {&best, 1});
    // The code that stood there wins a tie.
    if (is_in(index, main_.size()) &&
        host::squared_distance(x, args_.centroids.row<float>(index), length_) == best.square)
      return;
    index = best.index;
  }

  void choose_pair(const float* x, std::vector<Neighbour>& near, std::vector<float>& rest,
                   std::int32_t& index, std::int32_t& residual) const {
    double least = std::numeric_limits<double>::infinity();
    if (is_in(index, main_.size()) && is_in(residual, second_->size()))
      least = host::squared_distance(x, args_.centroids.row<float>(index),
                                     args_.residuals.row<float>(residual), length_);
    std::fill(near.begin(), near.end(), Neighbour{});
    main_.find(x, near.size() == 1 ? index : -1, near);
    for (const Neighbour& first : near) {
      const float* c = args_.centroids.row<float>(first.index);
      for (std::int64_t d = 0; d < length_; ++d) rest[static_cast<std::size_t>(d)] = x[d] - c[d];
      Neighbour second;
      second_->find(rest.data(), -1, {&second, 1});
      const double square =
          host::squared_distance(x, c, args_.residuals.row<float>(second.index), length_);
      if (!(square < least)) continue;
      least = square;
      index = first.index;
      residual = second.index;
    }
  }

  const VectorSweepArgs& args_;
  std::int64_t columns_;
  std::int64_t length_;
  CentroidIndex main_;
  std::optional<CentroidIndex> second_;
  std::int64_t tried_ = 1;
};

class CpuVectors final : public Vectors {
 public:
  explicit CpuVectors(int threads) : threads_(threads) {}

  void nearest(ConstMatrixView x, ConstMatrixView centroids, std::span<std::int32_t> labels,
               std::span<double> squares) override {
    host::check_nearest(x, centroids, labels, squares);
    const CentroidIndex index(centroids);
    parallel_pieces(threads_, x.rows, kVectorsAtOnce, [&](std::int64_t begin, std::int64_t count) {
      for (std::int64_t i = begin; i < begin + count; ++i) {
        Neighbour best;
        std::int32_t& label = labels[static_cast<std::size_t>(i)];
        index.find(x.row<float>(i), label, {&best, 1});
        label = best.index;
        if (!squares.empty()) squares[static_cast<std::size_t>(i)] = best.square;
      }
    });
  }

  double assign(ConstMatrixView x, std::span<const float> weights, ConstMatrixView centroids,
                std::span<std::int32_t> labels) override {
    std::vector<double> squares(labels.size());
    nearest(x, centroids, labels, squares);
    return host::weighted_total(weights, squares);
  }

  // Every cluster's vectors in ascending order, whatever thread adds them.
  std::vector<double> weighted_sums(ConstMatrixView x, std::span<const float> weights,
                                    std::span<const std::int32_t> labels,
                                    std::int64_t clusters) override {
    host::check_sums(x, weights, labels);
    host::check_labels(labels, clusters);
    std::vector<std::int64_t> first(static_cast<std::size_t>(clusters) + 1, 0);
    for (const std::int32_t label : labels) ++first[static_cast<std::size_t>(label) + 1];
    std::partial_sum(first.begin(), first.end(), first.begin());
    std::vector<std::int64_t> next(first.begin(), first.end() - 1);
    std::vector<std::int32_t> members(labels.size());
    for (std::size_t i = 0; i < labels.size(); ++i)
      members[static_cast<std::size_t>(next[static_cast<std::size_t>(labels[i])]++)] =
          static_cast<std::int32_t>(i);
    std::vector<double> sums(static_cast<std::size_t>(clusters * (x.cols + 1)), 0.0);
    parallel_pieces(
        threads_, clusters, kClustersAtOnce, [&](std::int64_t begin, std::int64_t count) {
          for (std::int64_t c = begin; c < begin + count; ++c)
            add_members(x, weights,
                        std::span(members).subspan(
                            static_cast<std::size_t>(first[static_cast<std::size_t>(c)]),
                            static_cast<std::size_t>(first[static_cast<std::size_t>(c) + 1] -
                                                     first[static_cast<std::size_t>(c)])),
                        sums.data() + c * (x.cols + 1));
        });
    return sums;
  }

  void sweep(const VectorSweepArgs& args, ConstMatrixView t0, ConstMatrixView t, MatrixView indices,
             MatrixView residual_indices, MatrixView error) override {
    host::check_vector_sweep(args, t0, t, indices, residual_indices, error);
    const ChunkSweep sweep(args, t.cols);
    const std::int64_t length = args.centroids.cols;
    Scratch scratch(threads_, length * t.cols);
    parallel_pieces(
        threads_, indices.rows, kChunksAtOnce, [&](std::int64_t begin, std::int64_t count) {
          for (std::int64_t p = begin; p < begin + count; ++p) {
            const std::int64_t row = p * length;
            const std::int64_t rows = std::min(length, t.rows - row);
            sweep.run(
                t0.rows_of(row, rows), t.rows_of(row, rows), indices.row<std::int32_t>(p),
                args.residuals.data == nullptr ? nullptr : residual_indices.row<std::int32_t>(p),
                error.rows_of(row, rows), scratch.mine());
          }
        });
  }

 private:
  static void add_members(ConstMatrixView x, std::span<const float> weights,
                          std::span<const std::int32_t> members, double* sum) {
    for (const std::int32_t i : members) {
      const double weight =
          weights.empty() ? 1.0 : static_cast<double>(weights[static_cast<std::size_t>(i)]);
      const float* row = x.row<float>(i);
      for (std::int64_t d = 0; d < x.cols; ++d) sum[d] += weight * static_cast<double>(row[d]);
      sum[x.cols] += weight;
    }
  }

  int threads_;
};

}  // namespace

std::unique_ptr<Vectors> make_vectors(int threads) {
  return std::make_unique<CpuVectors>(threads);
}

}  // namespace whit::compute::cpu
