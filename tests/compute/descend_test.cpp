#include "compute/support.h"

namespace whit::compute::testing {
namespace {

class DescentContract : public Contract {};
WHIT_ON_EVERY_BACKEND(DescentContract);

struct Problem {
  Tensor h, gradient, error, codes, scales;
  std::vector<std::int32_t> groups;
  DescentArgs args;

  Problem(std::int64_t rows, std::int64_t cols, int bits)
      : h(random_spd(cols, 1)),
        gradient({rows, cols}, Dtype::kF32),
        error(random_f32({rows, cols}, 2)),
        codes({rows, cols}, Dtype::kI8),
        scales(absolute(random_f32({rows, 5}, 3))) {
    const Tensor outside = random_f32({rows, cols}, 4, 0.3F);  // what other blocks add to E H
    const auto backend = make_reference_backend();
    backend->memory().copy(outside.matrix(), gradient.matrix());
    backend->linalg().gemm(1.0F, error.matrix(), Transpose::kNo, h.matrix(), Transpose::kNo, 1.0F,
                           gradient.matrix());
    const int range = 1 << bits;
    for (std::int64_t i = 0; i < rows * cols; ++i)
      codes.as<std::int8_t>()[i] = static_cast<std::int8_t>((i * 7) % range - range / 2);
    for (std::int64_t i = 0; i < rows * 5; ++i)
      scales.as<float>()[i] = scales.as<float>()[i] * 0.5F + 0.1F;
    for (std::int64_t k = 0; k < cols; ++k)
      groups.push_back(static_cast<std::int32_t>((k * 3) % 5));
    args.bits = bits;
    args.h = h.matrix();
    args.scales = scales.matrix();
    args.column_group = groups;
  }

  double scale(std::int64_t n, std::int64_t k) const {
    return static_cast<double>(scales.as<float>()[n * 5 + groups[static_cast<std::size_t>(k)]]);
  }
};

// Each row must follow from its own codes: a code may differ from exact arithmetic only on the edge
// of a decision.
void expect_descent(const Problem& p, const Tensor& codes, const Tensor& error) {
  constexpr double kEdge = 1e-4;
  const double least = 0.5 + static_cast<double>(kDescentMargin);
  const std::int64_t cols = codes.shape()[1];
  for (std::int64_t n = 0; n < codes.shape()[0]; ++n) {
    std::vector<double> moved(static_cast<std::size_t>(cols));
    for (std::int64_t k = 0; k < cols; ++k) {
      const std::int64_t at = n * cols + k;
      double g = static_cast<double>(p.gradient.as<float>()[at]);
      for (std::int64_t j = 0; j < k; ++j)
        g -=
            moved[static_cast<std::size_t>(j)] * static_cast<double>(p.h.as<float>()[j * cols + k]);
      const double step = g / (static_cast<double>(p.h.as<float>()[k * cols + k]) * p.scale(n, k));
      const double old = p.codes.as<std::int8_t>()[at];
      const double now = codes.as<std::int8_t>()[at];
      ASSERT_GE(now, scheme::code_min(p.args.bits));
      ASSERT_LE(now, scheme::code_max(p.args.bits));
      const double inside =
          std::min<double>(std::max<double>(old + step, scheme::code_min(p.args.bits)),
                           scheme::code_max(p.args.bits));
      if (std::abs(step) < least - kEdge) {
        ASSERT_EQ(now, old) << n << "," << k;
      } else if (std::abs(step) > least + kEdge) {
        ASSERT_LE(std::abs(now - inside), 0.5 + kEdge) << n << "," << k;
      }
      moved[static_cast<std::size_t>(k)] = (now - old) * p.scale(n, k);
      ASSERT_NEAR(error.as<float>()[at],
                  static_cast<double>(p.error.as<float>()[at]) - moved[static_cast<std::size_t>(k)],
                  1e-6 * (1 + std::abs(moved[static_cast<std::size_t>(k)])));
    }
  }
}

TEST_P(DescentContract, FollowsTheRecurrence) {
  for (const auto& [rows, cols] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {3, 17}, {64, 32}, {70, 128}}) {
    for (const int bits : {1, 2, 3, 4, 5, 6, 7, 8}) {
      SCOPED_TRACE(::testing::Message() << rows << "x" << cols << " bits " << bits);
      const Problem p(rows, cols, bits);
      Tensor codes = clone(p.codes);
      Tensor error = clone(p.error);
      backend->codec().descend_block(p.args, p.gradient.matrix(), codes.matrix(), error.matrix());
      expect_descent(p, codes, error);
    }
  }
}

TEST_P(DescentContract, NegativeScalesMirrorTheDescent) {
  Problem p(40, 64, 4);
  const auto descended = [&](float side) {
    Tensor gradient = clone(p.gradient);
    Tensor error = clone(p.error);
    Tensor codes = clone(p.codes);
    for (std::int64_t i = 0; i < error.elements(); ++i) {
      gradient.as<float>()[i] *= side;
      error.as<float>()[i] *= side;
    }
    backend->codec().descend_block(p.args, gradient.matrix(), codes.matrix(), error.matrix());
    for (std::int64_t i = 0; i < error.elements(); ++i) error.as<float>()[i] *= side;
    return std::pair{std::move(codes), std::move(error)};
  };
  const auto [codes, error] = descended(-1.0F);
  for (std::int64_t i = 0; i < p.scales.elements(); ++i) p.scales.as<float>()[i] *= -1.0F;
  const auto [mirrored, mirrored_error] = descended(1.0F);
  for (std::int64_t i = 0; i < codes.elements(); ++i) {
    ASSERT_EQ(mirrored.as<std::int8_t>()[i], codes.as<std::int8_t>()[i]) << i;
    ASSERT_EQ(mirrored_error.as<float>()[i], error.as<float>()[i]) << i;
  }
}

TEST_P(DescentContract, WhatIsBestAlreadyStays) {
  Problem p(40, 20, 4);
  // Half a step off in both directions is a tie.
  for (std::int64_t n = 0; n < 40; ++n)
    for (std::int64_t k = 0; k < 20; ++k)
      p.gradient.as<float>()[n * 20 + k] =
          static_cast<float>((n % 2 == 0 ? 0.5 : -0.5) *
                             static_cast<double>(p.h.as<float>()[k * 20 + k]) * p.scale(n, k));
  Tensor codes = clone(p.codes);
  Tensor error = clone(p.error);
  backend->codec().descend_block(p.args, p.gradient.matrix(), codes.matrix(), error.matrix());
  expect_same_bytes(codes, p.codes);
  expect_same_bytes(error, p.error);
}

TEST_P(DescentContract, AColumnThatNothingSeesStays) {
  Problem p(3, 2, 4);
  for (int i = 0; i < 4; ++i) p.h.as<float>()[i] = i == 3 ? 1.0F : 0.0F;
  for (int i = 0; i < 6; ++i) p.gradient.as<float>()[i] = 100.0F;
  Tensor codes = clone(p.codes);
  Tensor error = clone(p.error);
  backend->codec().descend_block(p.args, p.gradient.matrix(), codes.matrix(), error.matrix());
  for (int n = 0; n < 3; ++n) {
    EXPECT_EQ(codes.as<std::int8_t>()[2 * n], p.codes.as<std::int8_t>()[2 * n]);
    EXPECT_EQ(error.as<float>()[2 * n], p.error.as<float>()[2 * n]);
    EXPECT_EQ(codes.as<std::int8_t>()[2 * n + 1], 7);
  }
}

TEST_P(DescentContract, RowsDoNotDependOnTheirNeighboursOrOnStrides) {
  const Problem p(100, 40, 4);
  Tensor codes = clone(p.codes);
  Tensor error = clone(p.error);
  backend->codec().descend_block(p.args, p.gradient.matrix(), codes.matrix(), error.matrix());
  DescentArgs one = p.args;
  one.scales = p.scales.matrix().rows_of(77, 1);
  Tensor code({3, 50}, Dtype::kI8);
  Tensor rest({3, 50}, Dtype::kF32);
  std::memcpy(code.data() + 50 + 4, p.codes.data() + 77 * 40, 40);
  std::memcpy(rest.data() + (50 + 4) * 4, p.error.data() + 77 * 160, 160);
  backend->codec().descend_block(one, p.gradient.matrix().rows_of(77, 1),
                                 code.matrix().sub(1, 1, 4, 40), rest.matrix().sub(1, 1, 4, 40));
  EXPECT_EQ(std::memcmp(code.data() + 54, codes.data() + 77 * 40, 40), 0);
  EXPECT_EQ(std::memcmp(rest.data() + 54 * 4, error.data() + 77 * 160, 160), 0);
  EXPECT_EQ(code.as<std::int8_t>()[53] | code.as<std::int8_t>()[94], 0);
}

}  // namespace
}  // namespace whit::compute::testing
