#include <cmath>
#include <limits>

#include "compute/support.h"

namespace whit::compute::testing {
namespace {

class LinalgContract : public Contract {};
WHIT_ON_EVERY_BACKEND(LinalgContract);

struct Extents {
  std::int64_t m, n, k;
};
constexpr Extents kExtents[] = {{1, 1, 1},    {5, 7, 1},      {1, 600, 33}, {3, 2, 700},
                                {64, 64, 64}, {257, 513, 40}, {0, 4, 3},    {300, 1, 129}};

TEST_P(LinalgContract, GemmOfEveryTransposeIsWithinTheClassicalBound) {
  for (const auto& [m, n, k] : kExtents) {
    for (const bool at : {false, true}) {
      for (const bool bt : {false, true}) {
        SCOPED_TRACE(::testing::Message() << m << "x" << n << "x" << k << " " << at << bt);
        const Tensor a = random_f32(at ? Shape{k, m} : Shape{m, k}, 1);
        const Tensor b = random_f32(bt ? Shape{n, k} : Shape{k, n}, 2);
        const auto ta = at ? Transpose::kYes : Transpose::kNo;
        const auto tb = bt ? Transpose::kYes : Transpose::kNo;
        Tensor c = random_f32({m, n}, 3);
        Tensor expected = clone(c);
        Tensor bound = absolute(c);
        if (m == 0) continue;
        backend->linalg().gemm(0.5F, a.matrix(), ta, b.matrix(), tb, -2.0F, c.matrix());
        oracle->linalg().gemm(0.5F, a.matrix(), ta, b.matrix(), tb, -2.0F, expected.matrix());
        oracle->linalg().gemm(0.5F, absolute(a).matrix(), ta, absolute(b).matrix(), tb, 2.0F,
                              bound.matrix());
        expect_within(c, expected, bound, static_cast<double>(k + 4) * kEps);
      }
    }
  }
}

TEST_P(LinalgContract, GemmIgnoresOldContentsWhenBetaIsZero) {
  const Tensor a = random_f32({3, 4}, 1);
  const Tensor b = random_f32({4, 5}, 2);
  Tensor c({3, 5}, Dtype::kF32);
  for (int i = 0; i < 15; ++i) c.as<float>()[i] = std::nanf("");
  backend->linalg().gemm(1.0F, a.matrix(), Transpose::kNo, b.matrix(), Transpose::kNo, 0.0F,
                         c.matrix());
  for (int i = 0; i < 15; ++i) EXPECT_TRUE(std::isfinite(c.as<float>()[i]));
}

TEST_P(LinalgContract, GemmWorksInsideAWiderMatrix) {
  const Tensor a = random_f32({6, 20}, 1);
  const Tensor b = random_f32({9, 20}, 2);
  Tensor c({6, 30}, Dtype::kF32);
  Tensor expected({6, 30}, Dtype::kF32);
  const ConstMatrixView left = a.matrix().sub(1, 4, 3, 11);
  const ConstMatrixView right = b.matrix().sub(2, 7, 5, 11);
  for (auto [who, out] : {std::pair{backend.get(), &c}, std::pair{oracle.get(), &expected}})
    who->linalg().gemm(1.0F, left, Transpose::kNo, right, Transpose::kYes, 0.0F,
                       out->matrix().sub(1, 4, 8, 7));
  expect_within(c, expected, expected, 0.0, 11 * kEps * 50);
  EXPECT_EQ(c.as<float>()[0], 0.0F);
  EXPECT_EQ(c.as<float>()[1 * 30 + 7], 0.0F);
  EXPECT_EQ(c.as<float>()[1 * 30 + 15], 0.0F);
}

TEST_P(LinalgContract, LinearAddsItsBias) {
  for (const auto& [t, n, k] : kExtents) {
    if (t == 0) continue;
    const Tensor x = random_f32({t, k}, 4);
    const Tensor w = random_f32({n, k}, 5);
    const Tensor bias = random_f32({n}, 6);
    Tensor y({t, n}, Dtype::kF32);
    Tensor expected({t, n}, Dtype::kF32);
    Tensor bound({t, n}, Dtype::kF32);
    backend->linalg().linear(x.matrix(), w.matrix(), bias.as<float>(), y.matrix());
    oracle->linalg().linear(x.matrix(), w.matrix(), bias.as<float>(), expected.matrix());
    oracle->linalg().linear(absolute(x).matrix(), absolute(w).matrix(), absolute(bias).as<float>(),
                            bound.matrix());
    expect_within(y, expected, bound, static_cast<double>(k + 3) * kEps);
  }
}

TEST_P(LinalgContract, GramIsSymmetricAndAddsUp) {
  for (const auto& [rows, width] : {std::pair<std::int64_t, std::int64_t>{1, 1},
                                    {3, 5},
                                    {1024, 7},
                                    {2100, 33},
                                    {40, 530},
                                    {0, 4}}) {
    for (const bool weighted : {false, true}) {
      SCOPED_TRACE(::testing::Message() << rows << "x" << width << " weighted " << weighted);
      const Tensor x = random_f32({rows, width}, 7);
      const Tensor weights = random_f32({rows}, 8);
      const std::span<const float> w =
          weighted ? std::span(weights.as<float>(), static_cast<std::size_t>(rows))
                   : std::span<const float>{};
      const std::span<const float> w_abs_source = w;
      const Tensor magnitude = absolute(weights);
      const std::span<const float> w_abs =
          w_abs_source.empty() ? w_abs_source : std::span(magnitude.as<float>(), w.size());
      Tensor g({width, width}, Dtype::kF32);
      backend->memory().fill(g.matrix(), 0.5F);
      Tensor expected = clone(g);
      Tensor bound = clone(g);
      backend->linalg().gram(x.matrix(), w, g.matrix());
      oracle->linalg().gram(x.matrix(), w, expected.matrix());
      oracle->linalg().gram(absolute(x).matrix(), w_abs, bound.matrix());
      expect_within(g, expected, bound,
                    static_cast<double>(std::min<std::int64_t>(rows, 1024) + 8) * kEps);
      for (std::int64_t i = 0; i < width; ++i)
        for (std::int64_t j = 0; j < i; ++j)
          ASSERT_EQ(g.as<float>()[i * width + j], g.as<float>()[j * width + i]);
    }
  }
}

TEST_P(LinalgContract, GramOfManyRowsStaysPrecise) {
  // Partial sums over 1,024 rows: the error does not grow with the number of rows.
  const std::int64_t rows = 20000;
  Tensor x({rows, 2}, Dtype::kF32);
  for (std::int64_t i = 0; i < 2 * rows; ++i) x.as<float>()[i] = 0.1F;
  Tensor g({2, 2}, Dtype::kF32);
  backend->linalg().gram(x.matrix(), {}, g.matrix());
  const double exact =
      static_cast<double>(rows) * static_cast<double>(0.1F) * static_cast<double>(0.1F);
  EXPECT_NEAR(static_cast<double>(g.as<float>()[1]) / exact, 1.0, 1e-5);
}

TEST_P(LinalgContract, GramsOfPartsMerge) {
  const Tensor x = random_f32({3000, 20}, 9);
  Tensor whole({20, 20}, Dtype::kF32);
  Tensor parts({20, 20}, Dtype::kF32);
  backend->linalg().gram(x.matrix(), {}, whole.matrix());
  backend->linalg().gram(x.matrix().rows_of(0, 1700), {}, parts.matrix());
  backend->linalg().gram(x.matrix().rows_of(1700, 1300), {}, parts.matrix());
  for (int i = 0; i < 400; ++i)
    EXPECT_NEAR(whole.as<float>()[i], parts.as<float>()[i], 3000.0 * 20 * kEps);
}

TEST_P(LinalgContract, PermutesRowsAndColumns) {
  const Tensor a = random_f32({4, 5}, 10);
  const std::vector<std::int32_t> rows{3, 0, 0};
  const std::vector<std::int32_t> cols{4, 1};
  Tensor both({3, 2}, Dtype::kF32);
  backend->linalg().permute(a.matrix(), rows, cols, both.matrix());
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 2; ++j)
      EXPECT_EQ(both.as<float>()[i * 2 + j], a.as<float>()[rows[i] * 5 + cols[j]]);
  Tensor identity({4, 5}, Dtype::kF32);
  backend->linalg().permute(a.matrix(), {}, {}, identity.matrix());
  expect_same_bytes(identity, a);
  Tensor codes({4, 5}, Dtype::kI8);
  for (int i = 0; i < 20; ++i) codes.as<std::int8_t>()[i] = static_cast<std::int8_t>(10 * i - 100);
  Tensor moved({3, 2}, Dtype::kI8);
  backend->linalg().permute(codes.matrix(), rows, cols, moved.matrix());
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 2; ++j)
      EXPECT_EQ(moved.as<std::int8_t>()[i * 2 + j], codes.as<std::int8_t>()[rows[i] * 5 + cols[j]]);
}

TEST_P(LinalgContract, DiagonalIsReadAndAddedTo) {
  Tensor a = random_f32({3, 3}, 11);
  const std::vector<double> before = backend->linalg().diagonal(a.matrix());
  EXPECT_EQ(before[2], static_cast<double>(a.as<float>()[8]));
  backend->linalg().add_to_diagonal(a.matrix(), std::vector<double>{1.0, 2.0, -3.0});
  EXPECT_FLOAT_EQ(a.as<float>()[4], static_cast<float>(before[1] + 2.0));
  EXPECT_FLOAT_EQ(a.as<float>()[8], static_cast<float>(before[2] - 3.0));
}

TEST_P(LinalgContract, ScaleAddAndCopyAndFill) {
  Tensor a = random_f32({5, 37}, 12);
  const Tensor before = clone(a);
  const Tensor b = random_f32({5, 37}, 13);
  backend->linalg().scale_add(2.0F, a.matrix(), -0.5F, b.matrix());
  for (int i = 0; i < 5 * 37; ++i)
    EXPECT_NEAR(a.as<float>()[i], 2.0 * before.as<float>()[i] - 0.5 * b.as<float>()[i], 1e-6);
  backend->memory().fill(a.matrix().sub(1, 2, 3, 4), 9.0F);
  EXPECT_EQ(a.as<float>()[37 + 3], 9.0F);
  EXPECT_NE(a.as<float>()[37 + 7], 9.0F);
  backend->memory().copy(b.matrix(), a.matrix());
  expect_same_bytes(a, b);
}

TEST_P(LinalgContract, QuadraticForm) {
  for (const std::int64_t size : {1, 31, 530}) {
    const Tensor h = random_spd(size, 14);
    const Tensor d = random_f32({17, size}, 15);
    const std::vector<double> actual = backend->linalg().quadratic_form(d.matrix(), h.matrix());
    const std::vector<double> expected = oracle->linalg().quadratic_form(d.matrix(), h.matrix());
    for (std::size_t n = 0; n < actual.size(); ++n)
      EXPECT_NEAR(actual[n], expected[n], 1e-5 * expected[n]);
  }
}

TEST_P(LinalgContract, RowDotsOfPieces) {
  for (const auto& [rows, cols, width] :
       {std::tuple<std::int64_t, std::int64_t, std::int64_t>{1, 1, 1},
        {3, 70, 32},
        {40, 129, 129},
        {5, 64, 200},
        {2, 12, 5}}) {
    const Tensor a = random_f32({rows, cols}, 21);
    const Tensor b = random_f32({rows, cols}, 22);
    const std::vector<double> actual = backend->linalg().row_dots(a.matrix(), b.matrix(), width);
    const std::int64_t pieces = (cols + width - 1) / width;
    ASSERT_EQ(actual.size(), static_cast<std::size_t>(rows * pieces));
    for (std::int64_t n = 0; n < rows; ++n) {
      for (std::int64_t p = 0; p < pieces; ++p) {
        double sum = 0;
        for (std::int64_t k = p * width; k < std::min(cols, (p + 1) * width); ++k)
          sum += static_cast<double>(a.as<float>()[n * cols + k]) *
                 static_cast<double>(b.as<float>()[n * cols + k]);
        EXPECT_NEAR(actual[static_cast<std::size_t>(n * pieces + p)], sum, 1e-12);
      }
    }
  }
}

Tensor floats(std::vector<float> values) {
  const auto count = static_cast<std::int64_t>(values.size());
  return tensor::make_f32({1, count}, std::move(values));
}

void expect_floats(const Tensor& actual, const std::vector<float>& expected) {
  EXPECT_EQ(std::vector<float>(actual.as<float>(), actual.as<float>() + actual.elements()),
            expected);
}

TEST_P(LinalgContract, LargestMagnitudes) {
  for (const auto& [rows, cols] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {130, 7}, {300, 40}}) {
    Tensor x = random_f32({rows, cols}, 23);
    x.as<float>()[(rows - 1) * cols] = -9.0F;
    // A part of a wider matrix: its last column belongs to nobody.
    const ConstMatrixView part = x.matrix().sub(0, rows, 0, std::max<std::int64_t>(cols - 1, 1));
    std::vector<float> by_column(static_cast<std::size_t>(part.cols)),
        by_row(static_cast<std::size_t>(rows));
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < part.cols; ++j) {
        const float magnitude = std::abs(part.row<float>(i)[j]);
        float& column = by_column[static_cast<std::size_t>(j)];
        float& row = by_row[static_cast<std::size_t>(i)];
        column = std::max(column, magnitude);
        row = std::max(row, magnitude);
      }
    EXPECT_EQ(by_column[0], 9.0F);
    // What was found before stays where it is larger.
    by_column.back() = by_row[0] = 20.0F;
    std::vector<float> before(by_column.size());
    before.back() = 20.0F;
    Tensor columns = floats(before);
    backend->linalg().column_max_abs(part, columns.matrix());
    expect_floats(columns, by_column);
    before.assign(by_row.size(), 0.0F);
    before[0] = 20.0F;
    Tensor each = floats(before);
    backend->linalg().row_max_abs(part, each.matrix());
    expect_floats(each, by_row);
  }
}

TEST_P(LinalgContract, LargestMagnitudeOfNaNIsNaN) {
  Tensor x = random_f32({200, 3}, 24);
  x.as<float>()[5 * 3 + 1] = -std::numeric_limits<float>::quiet_NaN();
  x.as<float>()[9 * 3 + 1] = std::numeric_limits<float>::infinity();
  Tensor columns = floats(std::vector<float>(3));
  // A NaN stays, and no rows leave what was there.
  for (const std::int64_t rows : {200, 0, 5})
    backend->linalg().column_max_abs(x.matrix().rows_of(0, rows), columns.matrix());
  EXPECT_TRUE(std::isnan(columns.as<float>()[1]));
  EXPECT_FALSE(std::isnan(columns.as<float>()[0]) || std::isnan(columns.as<float>()[2]));
  Tensor each = floats(std::vector<float>(200));
  backend->linalg().row_max_abs(x.matrix(), each.matrix());
  EXPECT_TRUE(std::isnan(each.as<float>()[5]));
  EXPECT_FALSE(std::isnan(each.as<float>()[6]));
}

}  // namespace
}  // namespace whit::compute::testing
