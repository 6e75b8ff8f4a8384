#include "pipeline/scores.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "compute/host/attention_shape.h"

namespace whit::pipeline {

using compute::AttentionArgs;
using compute::HeadView;
using compute::Transpose;
using compute::host::first_visible;
using compute::host::head_of;
using tensor::ConstMatrixView;
using tensor::MatrixView;

namespace {

constexpr std::int64_t kQueries = 128;

// Of one head and one sequence.
class HeadScores {
 public:
  HeadScores(compute::Backend& backend, const AttentionArgs& args, std::int64_t head,
             std::int64_t start)
      : backend_(backend), args_(args), head_(head), start_(start) {}

  // Queries [first, first + rows) times keys [key, key + out.cols).
  void multiply(std::int64_t first, std::int64_t rows, std::int64_t key, MatrixView out) const {
    const std::int64_t kv_head = head_ / (args_.heads / args_.kv_heads);
    const ConstMatrixView q = head_of(args_.q, head_).rows_of(start_ + first, rows);
    backend_.linalg().gemm(args_.scale, q.sub(0, rows, 0, args_.k.dim), Transpose::kNo,
                           head_of(args_.k, kv_head).rows_of(start_ + key, out.cols),
                           Transpose::kYes, 0, out);
    if (!args_.k_shared) return;
    backend_.linalg().gemm(
        args_.scale, q.sub(0, rows, args_.k.dim, args_.k_shared->dim), Transpose::kNo,
        head_of(*args_.k_shared, 0).rows_of(start_ + key, out.cols), Transpose::kYes, 1, out);
  }

  // What softmax reads where a score is for a key.
  double logit(double score, std::int64_t key) const {
    if (args_.softcap > 0) score = double{args_.softcap} * std::tanh(score / double{args_.softcap});
    if (args_.key_bias.data != nullptr) score += double{bias_of(key)};
    return score;
  }

 private:
  float bias_of(std::int64_t key) const {
    if (bias_.empty()) bias_ = backend_.memory().download(row_view());
    return bias_.as<float>()[key];
  }
  tensor::TensorView row_view() const {
    const ConstMatrixView row = args_.key_bias.rows_of(head_, 1);
    return {row.data, row.dtype, {1, row.cols}, row.device};
  }

  compute::Backend& backend_;
  const AttentionArgs& args_;
  std::int64_t head_, start_;
  mutable tensor::Tensor bias_;
};

void raise(double& most, double value) {
  value = std::abs(value);
  if (std::isnan(value) || value > most) most = value;
}

// Magnitudes of floats are in the order of their bits, and a NaN's are above all.
float largest_magnitude(const float* first, std::int64_t count) {
  std::int32_t most = 0;
  for (std::int64_t i = 0; i < count; ++i)
    most = std::max(most, std::bit_cast<std::int32_t>(first[i]) & 0x7FFFFFFF);
  return std::bit_cast<float>(most);
}

class Searcher {
 public:
  Searcher(compute::Backend& backend, const AttentionArgs& args, std::int64_t longest)
      : backend_(backend),
        args_(args),
        scratch_(backend.memory().allocate({kQueries, std::max<std::int64_t>(longest, 1)},
                                           tensor::Dtype::kF32)) {}

  void search(std::int64_t head, std::int64_t start, std::int64_t length) {
    const HeadScores scores(backend_, args_, head, start);
    for (std::int64_t first = 0; first < length; first += kQueries) {
      const std::int64_t rows = std::min(kQueries, length - first);
      const std::int64_t key = first_visible(first, args_.window);
      const MatrixView block = scratch_.matrix().sub(0, rows, 0, first + rows - key);
      scores.multiply(first, rows, key, block);
      // Keys that all of these queries see; of a biased score the key matters. The host looks at
      // rows instead.
      std::int64_t begin = first_visible(first + rows - 1, args_.window) - key;
      std::int64_t end = std::max(begin, first + 1 - key);
      if (args_.key_bias.data != nullptr || block.device.kind == tensor::Device::Kind::kHost)
        begin = end = 0;
      if (begin < end) raise_to_columns(scores, block.sub(0, rows, begin, end - begin));
      edge(scores, first, key, block, 0, begin);
      edge(scores, first, key, block, end, block.cols);
    }
  }

  const ScoreMaxima& most() const { return most_; }

 private:
  // Columns that every query sees, of scores without a bias.
  void raise_to_columns(const HeadScores& scores, ConstMatrixView block) {
    tensor::Tensor most = backend_.memory().allocate({1, block.cols}, tensor::Dtype::kF32);
    backend_.linalg().column_max_abs(block, most.matrix());
    const tensor::Tensor host = backend_.memory().download(most.view());
    for (std::int64_t key = 0; key < block.cols; ++key) {
      raise(most_.scores, host.as<float>()[key]);
      raise(most_.logits, scores.logit(host.as<float>()[key], 0));
    }
  }

  // Columns of which each query sees some.
  void edge(const HeadScores& scores, std::int64_t first, std::int64_t key, ConstMatrixView block,
            std::int64_t begin, std::int64_t end) {
    if (begin >= end) return;
    ConstMatrixView part = block.sub(0, block.rows, begin, end - begin);
    tensor::Tensor copy;
    if (block.device.kind != tensor::Device::Kind::kHost) {
      tensor::Tensor dense = backend_.memory().allocate({part.rows, part.cols}, part.dtype);
      backend_.memory().copy(part, dense.matrix());
      copy = backend_.memory().download(dense.view());
      part = std::as_const(copy).matrix();
    }
    for (std::int64_t i = 0; i < part.rows; ++i) {
      const std::int64_t low = std::max(begin, first_visible(first + i, args_.window) - key);
      const std::int64_t high = std::min(end, first + i + 1 - key);
      if (low >= high) continue;
      const float* row = part.row<float>(i) - begin;
      const double most = largest_magnitude(row + low, high - low);
      raise(most_.scores, most);
      if (args_.key_bias.data == nullptr) {
        raise(most_.logits, scores.logit(most, 0));
        continue;
      }
      for (std::int64_t j = low; j < high; ++j) raise(most_.logits, scores.logit(row[j], key + j));
    }
  }

  compute::Backend& backend_;
  const AttentionArgs& args_;
  tensor::Tensor scratch_;
  ScoreMaxima most_;
};

}  // namespace

void absorb_query(compute::Backend& backend, const model::MlaSpec& spec, const HeadView& q,
                  std::int64_t head, std::int64_t first_row, ConstMatrixView expansion,
                  MatrixView out) {
  const ConstMatrixView query = head_of(q, head).rows_of(first_row, out.rows);
  backend.linalg().gemm(1, query.sub(0, out.rows, 0, spec.nope_dim), Transpose::kNo,
                        expansion.rows_of(head * (spec.nope_dim + spec.v_dim), spec.nope_dim),
                        Transpose::kNo, 0, out);
}

ScoreMaxima score_maxima(compute::Backend& backend, const AttentionArgs& args,
                         std::span<const std::int64_t> starts) {
  std::int64_t longest = 0;
  for (std::size_t s = 0; s + 1 < starts.size(); ++s)
    longest = std::max(longest, starts[s + 1] - starts[s]);
  Searcher searcher(backend, args, longest);
  for (std::size_t s = 0; s + 1 < starts.size(); ++s)
    for (std::int64_t head = 0; head < args.heads; ++head)
      searcher.search(head, starts[s], starts[s + 1] - starts[s]);
  return searcher.most();
}

SequenceScores sequence_scores(compute::Backend& backend, const AttentionArgs& args,
                               std::int64_t head, std::int64_t start, std::int64_t rows) {
  const HeadScores scores(backend, args, head, start);
  tensor::Tensor block = backend.memory().allocate({rows, rows}, tensor::Dtype::kF32);
  scores.multiply(0, rows, 0, block.matrix());
  const tensor::Tensor host = backend.memory().download(block.view());
  const auto size = static_cast<std::size_t>(rows * rows);
  SequenceScores result{std::vector<float>(size), std::vector<float>(size),
                        std::vector<float>(size)};
  for (std::int64_t i = 0; i < rows; ++i) {
    const auto row = static_cast<std::size_t>(i * rows);
    const std::int64_t begin = first_visible(i, args.window);
    float largest = -std::numeric_limits<float>::infinity();
    for (std::int64_t j = begin; j <= i; ++j) {
      const std::size_t at = row + static_cast<std::size_t>(j);
      result.scores[at] = host.as<float>()[at];
      result.logits[at] = static_cast<float>(scores.logit(result.scores[at], j));
      largest = std::max(largest, result.logits[at]);
    }
    double sum = 0;
    for (std::int64_t j = begin; j <= i; ++j)
      sum += std::exp(double{result.logits[row + static_cast<std::size_t>(j)]} - double{largest});
    for (std::int64_t j = begin; j <= i; ++j) {
      const std::size_t at = row + static_cast<std::size_t>(j);
      result.probabilities[at] =
          static_cast<float>(std::exp(double{result.logits[at]} - double{largest}) / sum);
    }
  }
  return result;
}

}  // namespace whit::pipeline
