#include "eval/scores.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>

namespace whit::eval {
namespace {

tensor::Tensor logs(std::vector<float> probabilities, std::int64_t cols) {
  for (auto& p : probabilities) p = std::log(p);
  return tensor::make_f32({static_cast<std::int64_t>(probabilities.size()) / cols, cols},
                          probabilities);
}

TEST(Scores, DivergenceOfTheReferenceFromTheModel) {
  const auto p = logs({0.5F, 0.25F, 0.25F, 0.1F, 0.1F, 0.8F}, 3);
  const auto q = logs({0.25F, 0.5F, 0.25F, 0.2F, 0.2F, 0.6F}, 3);
  const std::vector<std::int32_t> targets{0, 2};
  const auto scores = score_rows(std::as_const(p).matrix(), std::as_const(q).matrix(), targets);
  EXPECT_NEAR(scores[0].nll_nats, std::log(2.0), 1e-6);
  EXPECT_NEAR(scores[0].reference_nll_nats, std::log(4.0), 1e-6);
  // sum q ln(q/p): 0.25 ln 0.5 + 0.5 ln 2 + 0
  EXPECT_NEAR(scores[0].kl_nats, 0.25 * std::log(2.0), 1e-6);
  EXPECT_FALSE(scores[0].agrees);
  EXPECT_NEAR(scores[1].kl_nats, 0.4 * std::log(2.0) + 0.6 * std::log(0.75), 1e-6);
  EXPECT_TRUE(scores[1].agrees);
}

TEST(Scores, AModelBesideItself) {
  const auto p = logs({0.5F, 0.25F, 0.25F}, 3);
  const auto scores = score_rows(std::as_const(p).matrix(), std::as_const(p).matrix(),
                                 std::vector<std::int32_t>{1});
  EXPECT_EQ(scores[0].kl_nats, 0);
  EXPECT_TRUE(scores[0].agrees);
}

TEST(Scores, RowsWithoutTargetAreLeftOut) {
  const auto p = logs({0.5F, 0.5F, 0.1F, 0.9F}, 2);
  const auto scores = score_rows(std::as_const(p).matrix(), {}, std::vector<std::int32_t>{-1, 0});
  EXPECT_EQ(scores[0].nll_nats, 0);
  EXPECT_NEAR(scores[1].nll_nats, -std::log(0.1), 1e-6);
  EXPECT_EQ(scores[1].kl_nats, 0);
}

TEST(Scores, QuantileInterpolatesAsNumPy) {
  EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(quantile({1, 2, 3, 4, 5}, 0.99), 4.96);
  EXPECT_DOUBLE_EQ(quantile({7}, 0.99), 7);
  EXPECT_TRUE(std::isnan(quantile({}, 0.99)));
}

TEST(Scores, StandardErrorOfTheMean) {
  EXPECT_NEAR(standard_error(std::vector<double>{1, 2, 3, 4}), std::sqrt(5.0 / 3.0 / 4.0), 1e-12);
  EXPECT_TRUE(std::isnan(standard_error(std::vector<double>{1})));
}

}  // namespace
}  // namespace whit::eval
