#include "quant/normed_columns.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "numeric/round_to.h"
#include "quant/vptq.h"

namespace whit::quant {

using base::ErrorKind;
using base::fail;
using tensor::ConstMatrixView;
using tensor::Dtype;
using tensor::Tensor;

namespace {

bool is_power_of_two(std::int64_t value) {
  return value > 0 && (value & (value - 1)) == 0;
}

}  // namespace

tensor::TensorView view_of(ConstMatrixView m) {
  base::check(m.stride == m.cols, "vptq: a dense matrix");
  return {m.data, m.dtype, {m.rows, m.cols}, m.device};
}

ColumnNorm::ColumnNorm(const Tensor& w, Dtype dtype) {
  const std::int64_t rows = w.shape()[0];
  const std::int64_t cols = w.shape()[1];
  std::vector<double> sum(static_cast<std::size_t>(cols), 0.0);
  std::vector<double> squares(sum.size(), 0.0);
  for (std::int64_t n = 0; n < rows; ++n)
    for (std::size_t k = 0; k < sum.size(); ++k) {
      const auto x = static_cast<double>(w.as<float>()[n * cols + static_cast<std::int64_t>(k)]);
      sum[k] += x;
      squares[k] += x * x;
    }
  for (std::size_t k = 0; k < sum.size(); ++k) {
    const double mean = sum[k] / static_cast<double>(rows);
    const double variance = squares[k] / static_cast<double>(rows) - mean * mean;
    offset.push_back(numeric::round_to(static_cast<float>(mean), dtype));
    const auto deviation = static_cast<float>(std::sqrt(std::max(variance, 0.0)));
    const float stored = numeric::round_to(deviation, dtype);
    // A column that does not vary, or less than its mean's rounding, is its offset.
    scale.push_back(stored > 1e-6F * std::abs(offset[k]) && stored > 0 ? stored : 1.0F);
  }
}

stats::Gram scaled_gram(compute::Backend& backend, const stats::Gram& gram,
                        const std::vector<float>& scale) {
  Tensor host = backend.memory().download(view_of(gram.sum()));
  const std::int64_t width = gram.width();
  for (std::int64_t i = 0; i < width; ++i)
    for (std::int64_t j = 0; j < width; ++j)
      host.as<float>()[i * width + j] *=
          scale[static_cast<std::size_t>(i)] * scale[static_cast<std::size_t>(j)];
  return {backend, backend.memory().upload(host.view()), gram.tokens()};
}

Tensor vectors_of(const Tensor& m, const CodedColumns& part) {
  const std::int64_t rows = m.shape()[0];
  const std::int64_t cols = m.shape()[1];
  const std::int64_t chunks = part.indices.shape()[0];
  Tensor out({part.count * chunks, part.length}, Dtype::kF32);
  constexpr std::int64_t kColumns = 16;  // at once: what is read and written stays in the caches
  for (std::int64_t first = 0; first < part.count; first += kColumns) {
    const std::int64_t end = std::min(first + kColumns, part.count);
    for (std::int64_t n = 0; n < rows; ++n) {
      const float* row = m.as<float>() + n * cols + part.first;
      float* to = out.as<float>() + n;
      for (std::int64_t j = first; j < end; ++j) to[j * chunks * part.length] = row[j];
    }
  }
  return out;
}

void check_layout(const scheme::VectorLayout& layout, std::int64_t rows, std::int64_t cols) {
  if (layout.length < 1 || layout.length > rows)
    fail(ErrorKind::kUsage, "--vector-lens", "{} for {} rows; expected 1 to that", layout.length,
         rows);
  constexpr std::int64_t kMost = 65536;
  const auto check_book = [&](std::int64_t count, std::int64_t vectors, const char* flag) {
    if (!is_power_of_two(count) || count < 2 || count > kMost)
      fail(ErrorKind::kUsage, flag, "{}; expected a power of two from 2 to {}", count, kMost);
    if (count > vectors)
      fail(ErrorKind::kUsage, flag,
           "{} centroids for {} vectors; expected no more centroids than vectors", count, vectors);
  };
  if (layout.outliers < 0 || layout.outliers >= cols)
    fail(ErrorKind::kUsage, "--npercent", "{} of {} columns are outliers; expected some left",
         layout.outliers, cols);
  if (layout.groups < 1 || (cols - layout.outliers) % layout.groups != 0)
    fail(ErrorKind::kUsage, "--group-num", "{} groups of {} columns; expected a divisor",
         layout.groups, cols - layout.outliers);
  const std::int64_t vectors = layout.chunks(rows) * layout.group_size(cols);
  check_book(layout.centroids, vectors, "--num-centroids");
  if (layout.residuals > 0) check_book(layout.residuals, vectors, "--num-res-centroids");
  if (layout.outliers == 0) return;
  if (layout.outlier_length < 1 || layout.outlier_length > rows)
    fail(ErrorKind::kUsage, "--vector-lens", "{} of outliers for {} rows; expected 1 to that",
         layout.outlier_length, rows);
  check_book(layout.outlier_centroids, layout.outlier_chunks(rows) * layout.outliers,
             "--num-centroids");
}

}  // namespace whit::quant
