#include "compute/support.h"

namespace whit::compute::testing {
namespace {

class SweepContract : public Contract {};
WHIT_ON_EVERY_BACKEND(SweepContract);

struct SweepProblem {
  Tensor t0, t, u, scales, zeros;
  std::vector<std::int32_t> groups;
  SweepArgs args;

  SweepProblem(std::int64_t rows, std::int64_t cols, int bits, bool symmetric,
               float coupling = 0.3F)
      : t0(random_f32({rows, cols}, 1)),
        t(clone(t0)),
        u(random_f32({cols, cols}, 2, coupling / std::sqrt(static_cast<float>(cols)))),
        scales(absolute(random_f32({rows, 5}, 3))),
        zeros({rows, 5}, Dtype::kF32) {
    const Tensor extra = random_f32({rows, cols}, 4, 0.1F);
    for (std::int64_t i = 0; i < t.elements(); ++i) t.as<float>()[i] += extra.as<float>()[i];
    for (std::int64_t i = 0; i < cols; ++i)
      for (std::int64_t j = 0; j <= i; ++j) u.as<float>()[i * cols + j] = i == j ? 1.0F : 0.0F;
    for (std::int64_t i = 0; i < rows * 5; ++i) {
      scales.as<float>()[i] = scales.as<float>()[i] * 0.3F + 0.05F;
      zeros.as<float>()[i] = static_cast<float>(i % (1 << (bits - 1))) - 1.0F;
    }
    for (std::int64_t k = 0; k < cols; ++k)
      groups.push_back(static_cast<std::int32_t>((k * 3) % 5));
    args.bits = bits;
    args.u = u.matrix();
    args.scales = scales.matrix();
    if (!symmetric) args.zeros = zeros.matrix();
    args.column_group = groups;
  }
};

TEST_P(SweepContract, FollowsTheRecurrence) {
  for (const auto& [rows, cols] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {3, 17}, {64, 32}, {130, 128}}) {
    for (const int bits : {2, 3, 4, 5, 6, 7, 8}) {
      for (const bool symmetric : {true, false}) {
        const SweepProblem p(rows, cols, bits, symmetric);
        Tensor codes({rows, cols}, Dtype::kI8);
        Tensor error({rows, cols}, Dtype::kF32);
        backend->codec().sweep_block(p.args, p.t0.matrix(), p.t.matrix(), codes.matrix(),
                                     error.matrix());
        // Each row must follow from its own codes: a code may differ from exact arithmetic only on
        // a tie of its target.
        for (std::int64_t n = 0; n < rows; ++n) {
          for (std::int64_t k = 0; k < cols; ++k) {
            double target = static_cast<double>(p.t.as<float>()[n * cols + k]);
            for (std::int64_t j = 0; j < k; ++j)
              target += static_cast<double>(error.as<float>()[n * cols + j]) *
                        static_cast<double>(p.u.as<float>()[j * cols + k]);
            const std::int64_t g = n * 5 + p.groups[static_cast<std::size_t>(k)];
            const double scale = static_cast<double>(p.scales.as<float>()[g]);
            const double zero = symmetric ? 0.0 : static_cast<double>(p.zeros.as<float>()[g]);
            const double code = codes.as<std::int8_t>()[n * cols + k];
            ASSERT_GE(code, scheme::code_min(bits));
            ASSERT_LE(code, scheme::code_max(bits));
            const double exact = target / scale + zero;
            const double inside = std::min<double>(std::max<double>(exact, scheme::code_min(bits)),
                                                   scheme::code_max(bits));
            ASSERT_LE(std::abs(code - inside), 0.5 + 1e-4) << n << "," << k;
            const double q = (code - zero) * scale;
            ASSERT_NEAR(error.as<float>()[n * cols + k],
                        static_cast<double>(p.t0.as<float>()[n * cols + k]) - q, 1e-5);
          }
        }
      }
    }
  }
}

TEST_P(SweepContract, CodesEqualTheOracles) {
  const SweepProblem p(200, 64, 4, true);
  Tensor codes({200, 64}, Dtype::kI8);
  Tensor expected({200, 64}, Dtype::kI8);
  Tensor error({200, 64}, Dtype::kF32);
  backend->codec().sweep_block(p.args, p.t0.matrix(), p.t.matrix(), codes.matrix(), error.matrix());
  oracle->codec().sweep_block(p.args, p.t0.matrix(), p.t.matrix(), expected.matrix(),
                              error.matrix());
  int different = 0;
  for (int i = 0; i < 200 * 64; ++i)
    different += codes.as<std::int8_t>()[i] != expected.as<std::int8_t>()[i] ? 1 : 0;
  EXPECT_LE(different, 12);  // ties: fewer than one in a thousand
}

TEST_P(SweepContract, NegativeScalesMirrorTheSweep) {
  SweepProblem p(70, 64, 4, true);
  const auto swept = [&](float side) {
    Tensor t0 = clone(p.t0);
    Tensor t = clone(p.t);
    for (std::int64_t i = 0; i < t.elements(); ++i) {
      t0.as<float>()[i] *= side;
      t.as<float>()[i] *= side;
    }
    Tensor codes({70, 64}, Dtype::kI8);
    Tensor error({70, 64}, Dtype::kF32);
    backend->codec().sweep_block(p.args, t0.matrix(), t.matrix(), codes.matrix(), error.matrix());
    for (std::int64_t i = 0; i < t.elements(); ++i) error.as<float>()[i] *= side;
    return std::pair{std::move(codes), std::move(error)};
  };
  const auto [codes, error] = swept(-1.0F);
  for (std::int64_t i = 0; i < p.scales.elements(); ++i) p.scales.as<float>()[i] *= -1.0F;
  const auto [mirrored, mirrored_error] = swept(1.0F);
  for (std::int64_t i = 0; i < codes.elements(); ++i) {
    ASSERT_EQ(mirrored.as<std::int8_t>()[i], codes.as<std::int8_t>()[i]) << i;
    ASSERT_EQ(mirrored_error.as<float>()[i], error.as<float>()[i]) << i;
  }
}

TEST_P(SweepContract, WithoutFeedbackItIsPlainRounding) {
  const SweepProblem p(70, 20, 4, true, 0.0F);
  Tensor swept({70, 20}, Dtype::kI8);
  Tensor error({70, 20}, Dtype::kF32);
  backend->codec().sweep_block(p.args, p.t.matrix(), p.t.matrix(), swept.matrix(), error.matrix());
  Tensor rounded({70, 20}, Dtype::kI8);
  Tensor scales({70, 20}, Dtype::kF32);
  for (std::int64_t n = 0; n < 70; ++n)
    for (std::int64_t k = 0; k < 20; ++k)
      scales.as<float>()[n * 20 + k] =
          p.scales.as<float>()[n * 5 + p.groups[static_cast<std::size_t>(k)]];
  backend->codec().round_to_grid(p.t.matrix(), {4, true, 1, ScaleSearch::kAbsmax, Dtype::kF32},
                                 scales.matrix(), {}, rounded.matrix());
  expect_same_bytes(swept, rounded);
}

TEST_P(SweepContract, RowsDoNotDependOnTheirNeighbours) {
  const SweepProblem p(100, 40, 4, false);
  Tensor codes({100, 40}, Dtype::kI8);
  Tensor error({100, 40}, Dtype::kF32);
  backend->codec().sweep_block(p.args, p.t0.matrix(), p.t.matrix(), codes.matrix(), error.matrix());
  SweepArgs one = p.args;
  one.scales = p.scales.matrix().rows_of(77, 1);
  one.zeros = p.zeros.matrix().rows_of(77, 1);
  Tensor code({1, 40}, Dtype::kI8);
  Tensor rest({1, 40}, Dtype::kF32);
  backend->codec().sweep_block(one, p.t0.matrix().rows_of(77, 1), p.t.matrix().rows_of(77, 1),
                               code.matrix(), rest.matrix());
  EXPECT_EQ(std::memcmp(code.data(), codes.data() + 77 * 40, 40), 0);
  EXPECT_EQ(std::memcmp(rest.data(), error.data() + 77 * 40 * 4, 160), 0);
}

}  // namespace
}  // namespace whit::compute::testing
