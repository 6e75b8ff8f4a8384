#include "quant/output_metric.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "quant/damped_gram.h"

namespace whit::quant {

namespace {

using compute::Transpose;
using tensor::ConstMatrixView;
using tensor::Dtype;
using tensor::MatrixView;
using tensor::Tensor;

// The largest diagonal entries first.
std::vector<std::int32_t> descending(const std::vector<double>& diagonal) {
  std::vector<std::int32_t> order(diagonal.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return diagonal[static_cast<std::size_t>(a)] > diagonal[static_cast<std::size_t>(b)];
  });
  return order;
}

// The weight with rows and columns in processing order.
class RowSweep {
 public:
  RowSweep(compute::Backend& backend, ConstMatrixView w, const Factor& factor,
           const OutputMetric& metric, const scheme::GroupedInt& weight, std::int64_t block_size)
      : backend_(backend),
        factor_(factor),
        metric_(metric),
        bits_(weight.bits),
        block_size_(std::min(block_size, w.cols)),
        w_(allocate(w.rows, w.cols)),
        error_(allocate(w.rows, w.cols)),
        block_(allocate(w.rows, block_size_)),
        codes_(backend.memory().allocate({w.rows, w.cols}, Dtype::kI8)) {
    backend.linalg().permute(w, metric.order, factor.order, w_.matrix());
    const ConstMatrixView scales = std::as_const(weight.scales).matrix();
    scales_ = allocate(scales.rows, scales.cols);
    backend.linalg().permute(scales, metric.order, {}, scales_.matrix());
    for (const std::int32_t column : factor.order)
      group_.push_back(static_cast<std::int32_t>(column / weight.group_size));
    if (!weight.symmetric()) load_zeros(weight);
  }

  Tensor run() {
    const std::int64_t rows = w_.shape()[0];
    const std::int64_t cols = w_.shape()[1];
    for (std::int64_t b = 0; b < cols; b += block_size_) {
      const std::int64_t size = std::min(block_size_, cols - b);
      const ConstMatrixView t0 = std::as_const(w_).matrix().sub(0, rows, b, size);
      const MatrixView t = block_.matrix().sub(0, rows, 0, size);
      const ConstMatrixView u = factor_.u.matrix();
      backend_.memory().copy(t0, t);
      if (b > 0)
        backend_.linalg().gemm(1.0F, error_.matrix().sub(0, rows, 0, b), Transpose::kNo,
                               u.sub(0, b, b, size), Transpose::kNo, 1.0F, t);
      compute::SweepArgs sweep;
      sweep.bits = bits_;
      sweep.u = u.sub(b, size, b, size);
      sweep.row_u = metric_.u.matrix();
      sweep.scales = std::as_const(scales_).matrix();
      if (!zeros_.empty()) sweep.zeros = std::as_const(zeros_).matrix();
      sweep.column_group =
          std::span(group_).subspan(static_cast<std::size_t>(b), static_cast<std::size_t>(size));
      backend_.codec().sweep_block(sweep, t0, t, codes_.matrix().sub(0, rows, b, size),
                                   error_.matrix().sub(0, rows, b, size));
    }
    Tensor codes = backend_.memory().allocate(codes_.shape(), Dtype::kI8);
    backend_.linalg().permute(codes_.matrix(), inverse_of(metric_.order), inverse_of(factor_.order),
                              codes.matrix());
    return codes;
  }

 private:
  Tensor allocate(std::int64_t rows, std::int64_t cols) {
    return backend_.memory().allocate({rows, cols}, Dtype::kF32);
  }

  void load_zeros(const scheme::GroupedInt& weight) {
    const Tensor codes = backend_.memory().download(weight.zeros.view());
    Tensor values(codes.shape(), Dtype::kF32);
    for (std::int64_t i = 0; i < codes.elements(); ++i)
      values.as<float>()[i] = static_cast<float>(codes.as<std::int8_t>()[i]);
    const Tensor plain = backend_.memory().upload(values.view());
    zeros_ = backend_.memory().allocate(values.shape(), Dtype::kF32);
    backend_.linalg().permute(plain.matrix(), metric_.order, {}, zeros_.matrix());
  }

  compute::Backend& backend_;
  const Factor& factor_;
  const OutputMetric& metric_;
  int bits_;
  std::int64_t block_size_;
  Tensor w_, error_, block_, codes_, scales_, zeros_;
  std::vector<std::int32_t> group_;  // of each processing position
};

// E of a weight, and bands of M E Hd.
class Slope {
 public:
  Slope(compute::Backend& backend, ConstMatrixView w, const stats::Gram& gram, const Factor& factor,
        const OutputMetric& metric, const scheme::GroupedInt& weight)
      : backend_(backend),
        metric_(metric),
        hessian_(backend, gram, factor),
        error_(backend.memory().allocate({w.rows, w.cols}, Dtype::kF32)),
        turned_(backend.memory().allocate({w.rows, DampedGram::kBand}, Dtype::kF32)),
        slope_(backend.memory().allocate({w.rows, DampedGram::kBand}, Dtype::kF32)) {
    backend.codec().decode_grouped(weight, error_.matrix());
    backend.linalg().scale_add(-1.0F, error_.matrix(), 1.0F, w);
  }

  tensor::MatrixView error() { return error_.matrix(); }

  // Columns [b, b + size) of M E Hd, and the band of Hd that made it.
  std::pair<MatrixView, ConstMatrixView> at(std::int64_t b, std::int64_t size) {
    const std::int64_t rows = error_.shape()[0];
    const ConstMatrixView band = hessian_.band(b, size);
    const MatrixView turned = turned_.matrix().sub(0, rows, 0, size);
    const MatrixView slope = slope_.matrix().sub(0, rows, 0, size);
    backend_.linalg().gemm(1.0F, error_.matrix(), Transpose::kNo, band, Transpose::kYes, 0.0F,
                           turned);
    const std::int64_t block = metric_.m.shape()[1];
    for (std::int64_t n = 0; n < rows; n += block)
      backend_.linalg().gemm(1.0F, metric_.m.matrix().rows_of(n, block), Transpose::kNo,
                             turned.rows_of(n, block), Transpose::kNo, 0.0F,
                             slope.rows_of(n, block));
    return {slope, band};
  }

 private:
  compute::Backend& backend_;
  const OutputMetric& metric_;
  DampedGram hessian_;
  Tensor error_, turned_, slope_;
};

void descend(compute::Backend& backend, Slope& slope, const OutputMetric& metric,
             scheme::GroupedInt& weight) {
  const std::int64_t rows = weight.rows();
  for (std::int64_t b = 0; b < weight.cols(); b += DampedGram::kBand) {
    const std::int64_t size = std::min(DampedGram::kBand, weight.cols() - b);
    const auto [gradient, band] = slope.at(b, size);
    std::vector<std::int32_t> groups;
    for (std::int64_t k = b; k < b + size; ++k)
      groups.push_back(static_cast<std::int32_t>(k / weight.group_size));
    compute::DescentArgs args;
    args.bits = weight.bits;
    args.m = metric.m.matrix();
    args.h = band.sub(0, size, b, size);
    args.scales = std::as_const(weight.scales).matrix();
    args.column_group = groups;
    backend.codec().descend_block(args, gradient, weight.codes.matrix().sub(0, rows, b, size),
                                  slope.error().sub(0, rows, b, size));
  }
}

}  // namespace

OutputMetric factor_metric(compute::Backend& backend, ConstMatrixView metric, double rel_damp) {
  const std::int64_t block = metric.cols;
  base::check(block > 0 && metric.rows % block == 0, "factor_metric: whole blocks");
  OutputMetric result;
  result.m = backend.memory().allocate({metric.rows, block}, Dtype::kF32);
  result.u = backend.memory().allocate({metric.rows, block}, Dtype::kF32);
  backend.memory().copy(metric, result.m.matrix());
  for (std::int64_t n = 0; n < metric.rows; n += block) {
    const MatrixView m = result.m.matrix().rows_of(n, block);
    const MatrixView u = result.u.matrix().rows_of(n, block);
    const std::vector<double> diagonal = backend.linalg().diagonal(m);
    const double mean =
        std::accumulate(diagonal.begin(), diagonal.end(), 0.0) / static_cast<double>(block);
    // A block that nothing reads is the identity's.
    std::vector<double> added(static_cast<std::size_t>(block), mean > 0 ? rel_damp * mean : 1.0);
    const std::vector<std::int32_t> order = descending(diagonal);
    std::optional<std::vector<double>> pivots;
    for (;;) {
      backend.linalg().add_to_diagonal(m, added);
      backend.linalg().permute(m, order, order, u);
      pivots = backend.solve().factor_udu(u);
      if (pivots) break;
      for (double& value : added) value = std::max(10 * value, 1e-3 * mean);
    }
    for (const std::int32_t row : order) result.order.push_back(static_cast<std::int32_t>(n) + row);
  }
  return result;
}

void sweep_under_metric(compute::Backend& backend, ConstMatrixView w, const stats::Gram& gram,
                        const Factor& factor, const OutputMetric& metric, std::int64_t block_size,
                        int passes, scheme::GroupedInt& weight) {
  base::check(metric.m.shape()[0] == w.rows, "sweep_under_metric: rows");
  const double before = metric_error(backend, w, gram, factor, metric, weight);
  Tensor codes = RowSweep(backend, w, factor, metric, weight, block_size).run();
  std::swap(codes, weight.codes);
  if (metric_error(backend, w, gram, factor, metric, weight) > before)
    std::swap(codes, weight.codes);
  if (passes == 0) return;
  Slope slope(backend, w, gram, factor, metric, weight);
  for (int pass = 0; pass < passes; ++pass) descend(backend, slope, metric, weight);
}

double metric_error(compute::Backend& backend, ConstMatrixView w, const stats::Gram& gram,
                    const Factor& factor, const OutputMetric& metric,
                    const scheme::GroupedInt& weight) {
  Slope slope(backend, w, gram, factor, metric, weight);
  double sum = 0;
  for (std::int64_t b = 0; b < w.cols; b += DampedGram::kBand) {
    const std::int64_t size = std::min(DampedGram::kBand, w.cols - b);
    const auto [gradient, band] = slope.at(b, size);
    for (const double row :
         backend.linalg().row_dots(gradient, slope.error().sub(0, w.rows, b, size), size))
      sum += row;
  }
  return sum;
}

}  // namespace whit::quant
