// Sweeps and descents in which the rows of a block see each other.
#include <algorithm>
#include <array>

#include "compute/support.h"

namespace whit::compute::testing {
namespace {

class RowBlocksContract : public Contract {};
WHIT_ON_EVERY_BACKEND(RowBlocksContract);

constexpr int kBits = 4;

// Symmetric positive definite blocks [R,R] one below the other.
Tensor metric_blocks(std::int64_t rows, std::int64_t block, unsigned seed) {
  const Tensor root = random_f32({rows, block}, seed);
  Tensor m({rows, block}, Dtype::kF32);
  for (std::int64_t first = 0; first < rows; first += block)
    for (std::int64_t i = 0; i < block; ++i)
      for (std::int64_t j = 0; j < block; ++j) {
        double sum = i == j ? 0.5 : 0.0;
        for (std::int64_t c = 0; c < block; ++c)
          sum += static_cast<double>(root.as<float>()[(first + i) * block + c]) *
                 static_cast<double>(root.as<float>()[(first + j) * block + c]) /
                 static_cast<double>(block);
        m.as<float>()[(first + i) * block + j] = static_cast<float>(sum);
      }
  return m;
}

struct RowBlockProblem {
  Tensor t0, t, u, row_u, scales;
  std::vector<std::int32_t> groups;
  SweepArgs args;

  RowBlockProblem(std::int64_t rows, std::int64_t cols, std::int64_t block)
      : t0(random_f32({rows, cols}, 1)),
        t(clone(t0)),
        u(random_f32({cols, cols}, 2, 0.3F / std::sqrt(static_cast<float>(cols)))),
        row_u(random_f32({rows, block}, 3, 0.3F / std::sqrt(static_cast<float>(block)))),
        scales(absolute(random_f32({rows, 3}, 4))) {
    const Tensor extra = random_f32({rows, cols}, 5, 0.1F);
    for (std::int64_t i = 0; i < t.elements(); ++i) t.as<float>()[i] += extra.as<float>()[i];
    for (std::int64_t i = 0; i < cols; ++i)
      for (std::int64_t j = 0; j <= i; ++j) u.as<float>()[i * cols + j] = i == j ? 1.0F : 0.0F;
    for (std::int64_t n = 0; n < rows; ++n)
      for (std::int64_t j = 0; j <= n % block; ++j)
        row_u.as<float>()[n * block + j] = n % block == j ? 1.0F : 0.0F;
    for (std::int64_t i = 0; i < scales.elements(); ++i)
      scales.as<float>()[i] = scales.as<float>()[i] * 0.3F + 0.05F;
    for (std::int64_t k = 0; k < cols; ++k)
      groups.push_back(static_cast<std::int32_t>((k * 2) % 3));
    args.bits = kBits;
    args.u = u.matrix();
    args.row_u = row_u.matrix();
    args.scales = scales.matrix();
    args.column_group = groups;
  }
};

const std::vector<std::array<std::int64_t, 3>> kBlockExtents{
    {1, 1, 1}, {6, 17, 3}, {48, 128, 16}, {33, 40, 33}, {130, 64, 65}};

// Every code must follow from the errors before it, of its row and of the rows above it.
TEST_P(RowBlocksContract, SweepFollowsTheRecurrence) {
  for (const auto& [rows, cols, block] : kBlockExtents) {
    const RowBlockProblem p(rows, cols, block);
    Tensor codes({rows, cols}, Dtype::kI8);
    Tensor error({rows, cols}, Dtype::kF32);
    backend->codec().sweep_block(p.args, p.t0.matrix(), p.t.matrix(), codes.matrix(),
                                 error.matrix());
    const auto at = [&](const Tensor& m, std::int64_t i, std::int64_t j) {
      return static_cast<double>(m.as<float>()[i * m.shape()[1] + j]);
    };
    for (std::int64_t k = 0; k < cols; ++k) {
      std::vector<double> feedback;
      for (std::int64_t n = 0; n < rows; ++n) {
        double sum = at(p.t, n, k) - at(p.t0, n, k);
        for (std::int64_t j = 0; j < k; ++j) sum += at(error, n, j) * at(p.u, j, k);
        feedback.push_back(sum);
        double target = at(p.t0, n, k) + sum;
        for (std::int64_t i = n / block * block; i < n; ++i)
          target +=
              (feedback[static_cast<std::size_t>(i)] + at(error, i, k)) * at(p.row_u, i, n % block);
        const double scale = at(p.scales, n, p.groups[static_cast<std::size_t>(k)]);
        const double code = codes.as<std::int8_t>()[n * cols + k];
        const double quotient =
            std::clamp(target / scale, static_cast<double>(scheme::code_min(kBits)),
                       static_cast<double>(scheme::code_max(kBits)));
        ASSERT_LE(std::abs(code - quotient), 0.5 + 1e-3) << rows << "x" << cols << " at " << n;
        ASSERT_NEAR(at(error, n, k), at(p.t0, n, k) - code * scale, 1e-5);
      }
    }
  }
}

TEST_P(RowBlocksContract, IdentityBlocksChangeNothing) {
  RowBlockProblem p(24, 40, 8);
  for (std::int64_t n = 0; n < 24; ++n)
    for (std::int64_t j = 0; j < 8; ++j) p.row_u.as<float>()[n * 8 + j] = n % 8 == j ? 1.0F : 0.0F;
  Tensor codes({24, 40}, Dtype::kI8), plain({24, 40}, Dtype::kI8);
  Tensor error({24, 40}, Dtype::kF32);
  backend->codec().sweep_block(p.args, p.t0.matrix(), p.t.matrix(), codes.matrix(), error.matrix());
  p.args.row_u = {};
  backend->codec().sweep_block(p.args, p.t0.matrix(), p.t.matrix(), plain.matrix(), error.matrix());
  int different = 0;
  for (std::int64_t i = 0; i < 24 * 40; ++i)
    different += codes.as<std::int8_t>()[i] != plain.as<std::int8_t>()[i] ? 1 : 0;
  EXPECT_LE(different, 1);  // a tie
}

// tr(M E H Eᵀ) of one block of columns in plain loops.
double error_under(const Tensor& m, std::int64_t block, const Tensor& h, const Tensor& e) {
  const std::int64_t rows = e.shape()[0];
  const std::int64_t cols = e.shape()[1];
  double sum = 0;
  for (std::int64_t n = 0; n < rows; ++n)
    for (std::int64_t i = n / block * block; i < n / block * block + block; ++i)
      for (std::int64_t k = 0; k < cols; ++k)
        for (std::int64_t j = 0; j < cols; ++j)
          sum += static_cast<double>(m.as<float>()[i * block + n % block]) *
                 static_cast<double>(e.as<float>()[i * cols + k]) *
                 static_cast<double>(e.as<float>()[n * cols + j]) *
                 static_cast<double>(h.as<float>()[k * cols + j]);
  return sum;
}

TEST_P(RowBlocksContract, DescentLowersTheErrorAndKeepsItsBooks) {
  for (const auto& [rows, cols, block] : {std::array<std::int64_t, 3>{6, 17, 3}, {24, 32, 24}}) {
    const Tensor m = metric_blocks(rows, block, 7);
    const Tensor h = metric_blocks(cols, cols, 8);
    const Tensor w = random_f32({rows, cols}, 9);
    Tensor scales({rows, 1}, Dtype::kF32);
    Tensor codes({rows, cols}, Dtype::kI8);
    Tensor error({rows, cols}, Dtype::kF32);
    for (std::int64_t n = 0; n < rows; ++n) scales.as<float>()[n] = 0.3F;
    for (std::int64_t i = 0; i < rows * cols; ++i) {
      codes.as<std::int8_t>()[i] = static_cast<std::int8_t>(
          std::clamp(std::nearbyint(w.as<float>()[i] / 0.3F), -8.0F, 7.0F));
      error.as<float>()[i] = w.as<float>()[i] - 0.3F * codes.as<std::int8_t>()[i];
    }
    double before = error_under(m, block, h, error);
    const double first = before;
    for (int pass = 0; pass < 4; ++pass) {
      Tensor slope({rows, cols}, Dtype::kF32);
      for (std::int64_t n = 0; n < rows; ++n)
        for (std::int64_t k = 0; k < cols; ++k) {
          double sum = 0;
          for (std::int64_t i = n / block * block; i < n / block * block + block; ++i)
            for (std::int64_t j = 0; j < cols; ++j)
              sum += static_cast<double>(m.as<float>()[i * block + n % block]) *
                     static_cast<double>(error.as<float>()[i * cols + j]) *
                     static_cast<double>(h.as<float>()[j * cols + k]);
          slope.as<float>()[n * cols + k] = static_cast<float>(sum);
        }
      const std::vector<std::int32_t> groups(static_cast<std::size_t>(cols), 0);
      DescentArgs args;
      args.bits = kBits;
      args.m = m.matrix();
      args.h = h.matrix();
      args.scales = scales.matrix();
      args.column_group = groups;
      backend->codec().descend_block(args, slope.matrix(), codes.matrix(), error.matrix());
      for (std::int64_t i = 0; i < rows * cols; ++i)
        ASSERT_NEAR(error.as<float>()[i], w.as<float>()[i] - 0.3F * codes.as<std::int8_t>()[i],
                    1e-5);
      const double after = error_under(m, block, h, error);
      EXPECT_LE(after, before * (1 + 1e-6));
      before = after;
    }
    EXPECT_LT(before, 0.95 * first);
  }
}

}  // namespace
}  // namespace whit::compute::testing
