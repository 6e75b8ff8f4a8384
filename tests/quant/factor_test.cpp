#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "quant/samples.h"
#include "quant/shrink.h"

namespace whit::quant {
namespace {

using namespace testing;

class Factoring : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<compute::Backend> backend_ = make_backend(GetParam());

  stats::Gram gram_from(const std::vector<float>& sum, std::int64_t width, std::int64_t tokens) {
    return {*backend_, upload(*backend_, sum, width), tokens};
  }
  base::ErrorKind kind_of_failure(const stats::Gram& gram, const FactorArgs& args) {
    try {
      factor_gram(*backend_, gram, args);
    } catch (const base::Error& error) {
      return error.kind();
    }
    ADD_FAILURE() << "nothing thrown";
    return base::ErrorKind::kBug;
  }
  std::vector<float> values(const tensor::Tensor& t) {
    return tensor::to_f32_vector(backend_->memory().download(t.view()).view());
  }
};

TEST_P(Factoring, RebuildsTheDampedHessian) {
  const std::int64_t width = 48;
  std::vector<float> x = correlated_inputs(200, width, 7);
  kill_columns(x, width, {11});
  const oracle::Matrix h = oracle::hessian(x, width);
  const stats::Gram gram = gram_of(*backend_, x, width);
  const Factor factor = factor_gram(*backend_, gram, {});
  const std::vector<float> u = values(factor.u);
  EXPECT_EQ(factor.order.back(), 11);
  EXPECT_EQ(factor.tokens, 200);
  EXPECT_EQ(factor.attempts, 1);
  double mean = 0;
  for (std::size_t k = 0; k < 48; ++k) mean += h[k * 49] / 47;
  for (std::size_t i = 0; i < 48; ++i) {
    if (i > 0) {
      EXPECT_GE(h[static_cast<std::size_t>(factor.order[i - 1]) * 49],
                h[static_cast<std::size_t>(factor.order[i]) * 49]);
    }
    for (std::size_t j = 0; j < 48; ++j) {
      double sum = 0;
      for (std::size_t k = 0; k < 48; ++k)
        sum += static_cast<double>(u[i * 48 + k]) * factor.pivots[k] *
               static_cast<double>(u[j * 48 + k]);
      double expected = h[static_cast<std::size_t>(factor.order[i]) * 48 +
                          static_cast<std::size_t>(factor.order[j])];
      if (i == j) expected += mean * (factor.order[i] == 11 ? 1.1 : 0.1);
      EXPECT_NEAR(sum, expected, 2e-5 * mean);
      if (i == j) {
        EXPECT_NEAR(static_cast<double>(factor.diagonal[static_cast<std::size_t>(factor.order[i])]),
                    expected, 1e-5 * expected);
      }
    }
  }
}

TEST_P(Factoring, EqualDiagonalsGoByColumn) {
  std::vector<float> sum(25, 0.0F);
  for (std::size_t k = 0; k < 5; ++k) sum[k * 6] = k == 3 ? 9.0F : 4.0F;
  const stats::Gram gram = gram_from(sum, 5, 8);
  EXPECT_EQ(factor_gram(*backend_, gram, {}).order, (std::vector<std::int32_t>{3, 0, 1, 2, 4}));
  EXPECT_EQ(factor_gram(*backend_, gram, {ColumnOrder::kDefault, 0.1}).order,
            (std::vector<std::int32_t>{0, 1, 2, 3, 4}));
}

TEST_P(Factoring, DampingGrowsUntilPositiveDefinite) {
  // Eigenvalues 2.9 and -0.9: more than 0.9 of the mean diagonal 1 must be added.
  const stats::Gram gram = gram_from({1.0F, 1.9F, 1.9F, 1.0F}, 2, 2);
  const Factor from_default = factor_gram(*backend_, gram, {ColumnOrder::kActivation, 0.1});
  EXPECT_EQ(from_default.attempts, 2);
  EXPECT_NEAR(from_default.damping, 1.0, 1e-12);
  const Factor from_zero = factor_gram(*backend_, gram, {ColumnOrder::kActivation, 0.0});
  EXPECT_EQ(from_zero.attempts, 5);  // 0, .001, .01, .1, 1
  EXPECT_NEAR(from_zero.damping, 1.0, 1e-12);
}

TEST_P(Factoring, RefusesWhatIsNoGram) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(kind_of_failure(gram_from({1, 0, 0, nan}, 2, 4), {}), base::ErrorKind::kInput);
  EXPECT_EQ(kind_of_failure(gram_from({inf, 0, 0, 1}, 2, 4), {}), base::ErrorKind::kInput);
  EXPECT_EQ(kind_of_failure(gram_from({-1, 0, 0, 1}, 2, 4), {}), base::ErrorKind::kInput);
  EXPECT_EQ(kind_of_failure(gram_from({1, nan, nan, 1}, 2, 4), {}), base::ErrorKind::kInput);
  const stats::Gram unseen(*backend_, 2);
  EXPECT_EQ(kind_of_failure(unseen, {}), base::ErrorKind::kBug);
}

TEST_P(Factoring, LeavesTheGramAlone) {
  const stats::Gram gram = gram_of(*backend_, correlated_inputs(50, 16, 7), 16);
  const auto read = [&] {
    tensor::Tensor copy = backend_->memory().allocate({16, 16}, tensor::Dtype::kF32);
    backend_->memory().copy(gram.sum(), copy.matrix());
    return values(copy);
  };
  const auto before = read();
  factor_gram(*backend_, gram, {});
  EXPECT_EQ(before, read());
}

TEST_P(Factoring, ShrunkGramIsTheWeightedMeanOfMeans) {
  const stats::Gram own = gram_of(*backend_, correlated_inputs(5, 16, 7), 16);
  const stats::Gram layer = gram_of(*backend_, correlated_inputs(300, 16, 8), 16);
  const stats::Gram mixed = shrink_gram(*backend_, own, layer, 15);
  EXPECT_TRUE(mixed.frozen());
  EXPECT_EQ(mixed.tokens(), 20);
  for (std::int64_t i = 0; i < 16; ++i) {
    for (std::int64_t j = 0; j < 16; ++j) {
      const auto mean = [&](const stats::Gram& g) {
        return static_cast<double>(g.sum().row<float>(i)[j]) / static_cast<double>(g.tokens());
      };
      EXPECT_NEAR(mean(mixed), (5 * mean(own) + 15 * mean(layer)) / 20, 1e-5);
    }
  }
}

TEST(ShrinkCount, FallsFromTheWidthToNothing) {
  EXPECT_EQ(shrink_count(0, 256), 256);
  EXPECT_EQ(shrink_count(512, 256), 128);
  EXPECT_EQ(shrink_count(1023, 256), 0);
  EXPECT_EQ(shrink_count(1024, 256), 0);
  EXPECT_EQ(shrink_count(1 << 20, 256), 0);
  for (std::int64_t n = 1; n < 1100; ++n) EXPECT_LE(shrink_count(n, 256), shrink_count(n - 1, 256));
}

INSTANTIATE_TEST_SUITE_P(Backends, Factoring, ::testing::Values("reference", "cpu2"));

}  // namespace
}  // namespace whit::quant
