// Rows' own least squares, on maps small enough to say what is left of b.
#include "quant/row_least_squares.h"

#include <gtest/gtest.h>

#include <cmath>

#include "quant/samples.h"

namespace whit::quant {
namespace {

using namespace testing;

class RowLeastSquares : public ::testing::TestWithParam<std::string> {
 protected:
  static constexpr std::int64_t kRows = 5, kCols = 6;

  // out_n = J_n v_n, or its transpose; the last row's map is 0.
  void multiply(tensor::ConstMatrixView v, tensor::MatrixView out, bool transposed) {
    for (std::int64_t n = 0; n < kRows; ++n)
      for (std::int64_t i = 0; i < kCols; ++i) {
        double sum = 0;
        for (std::int64_t k = 0; k < kCols; ++k)
          sum +=
              (transposed ? map(n, k, i) : map(n, i, k)) * static_cast<double>(v.row<float>(n)[k]);
        out.row<float>(n)[i] = static_cast<float>(sum);
      }
  }
  double map(std::int64_t n, std::int64_t i, std::int64_t k) const {
    if (n == kRows - 1) return 0;
    const double value =
        static_cast<double>(maps_[static_cast<std::size_t>((n * kCols + i) * kCols + k)]);
    return size_ * (value + (i == k ? 0.1 : 0.0));
  }

  // |J x - b|² + damping |x|² of one row.
  double cost(std::int64_t n, const std::vector<double>& x, double damping) const {
    double sum = 0;
    for (std::int64_t i = 0; i < kCols; ++i) {
      double left = -b(n, i);
      for (std::int64_t k = 0; k < kCols; ++k)
        left += map(n, i, k) * x[static_cast<std::size_t>(k)];
      sum +=
          left * left + damping * x[static_cast<std::size_t>(i)] * x[static_cast<std::size_t>(i)];
    }
    return sum;
  }
  double b(std::int64_t n, std::int64_t i) const {
    return static_cast<double>(b_[static_cast<std::size_t>(n * kCols + i)]);
  }

  std::vector<std::vector<double>> solve(const RowLeastSquaresArgs& args) {
    const RowMaps maps{
        [&](tensor::ConstMatrixView v, tensor::MatrixView out) { multiply(v, out, false); },
        [&](tensor::ConstMatrixView v, tensor::MatrixView out) { multiply(v, out, true); }};
    const tensor::Tensor wanted = upload(*backend_, b_, kCols);
    const tensor::Tensor x = row_least_squares(*backend_, maps, wanted.matrix(), args);
    const auto values = tensor::to_f32_vector(backend_->memory().download(x.view()).view());
    std::vector<std::vector<double>> rows;
    for (std::int64_t n = 0; n < kRows; ++n)
      rows.emplace_back(values.begin() + n * kCols, values.begin() + (n + 1) * kCols);
    return rows;
  }

  std::unique_ptr<compute::Backend> backend_ = make_backend(GetParam());
  std::vector<float> maps_ = heavy_weights(kRows * kCols, kCols, 11);
  double size_ = 1;
  std::vector<float> b_ = heavy_weights(kRows, kCols, 12);
};

TEST_P(RowLeastSquares, AsManyStepsAsUnknownsSolveIt) {
  const auto rows = solve({0, static_cast<int>(kCols)});
  for (std::int64_t n = 0; n + 1 < kRows; ++n) {
    double size = 0;
    for (std::int64_t i = 0; i < kCols; ++i) size += b(n, i) * b(n, i);
    EXPECT_LT(cost(n, rows[static_cast<std::size_t>(n)], 0), 1e-4 * size) << n;
  }
  for (const double value : rows.back()) EXPECT_EQ(value, 0);  // nothing moves it
}

// The damping of a row is its own: twice the map, the same x at half the size.
TEST_P(RowLeastSquares, DampingIsRelativeAndEveryStepLowersTheCost) {
  const auto usual = solve({2, 8});
  size_ = 2;
  const auto twice = solve({2, 8});
  for (std::size_t n = 0; n < static_cast<std::size_t>(kRows); ++n)
    for (std::size_t k = 0; k < static_cast<std::size_t>(kCols); ++k)
      EXPECT_NEAR(twice[n][k], usual[n][k] / 2, 1e-4 * (1 + std::abs(usual[n][k])));
  for (std::int64_t n = 0; n + 1 < kRows; ++n) {
    double before = cost(n, std::vector<double>(kCols), 0);
    for (const int steps : {1, 2, 4, 6}) {
      const double now = cost(n, solve({1e-9, steps})[static_cast<std::size_t>(n)], 0);
      EXPECT_LE(now, before * (1 + 1e-5)) << "row " << n << ", step " << steps;
      before = now;
    }
  }
}

TEST_P(RowLeastSquares, NoRowsAreNoWork) {
  const tensor::Tensor none = backend_->memory().allocate({0, kCols}, tensor::Dtype::kF32);
  EXPECT_EQ(row_least_squares(*backend_, {}, none.matrix(), {}).elements(), 0);
}

INSTANTIATE_TEST_SUITE_P(Backends, RowLeastSquares, ::testing::Values("reference", "cpu2"));

}  // namespace
}  // namespace whit::quant
