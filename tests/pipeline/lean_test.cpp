#include "pipeline/lean.h"

#include <gtest/gtest.h>

#include <random>

namespace whit::pipeline {
namespace {

constexpr std::int64_t kWidth = 12;

class LeanTest : public ::testing::Test {
 protected:
  tensor::Tensor rows(std::int64_t count, unsigned seed) {
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    tensor::Tensor host({count, kWidth}, tensor::Dtype::kF32);
    for (std::int64_t i = 0; i < count * kWidth; ++i) host.as<float>()[i] = normal(generator);
    return host;
  }

  // Sums of `tokens` tokens, the teacher seeing the first `taught` of them.
  Sums sums_of(std::int64_t tokens, std::int64_t taught, unsigned seed) {
    Sums sums{stats::Gram(*backend_, kWidth), {}, {}, {}};
    const tensor::Tensor x = rows(tokens, seed);
    sums.gram.observe(x.matrix());
    if (taught == 0) return sums;
    const tensor::Tensor difference = rows(taught, seed + 1);
    sums.input.emplace(*backend_, kWidth, kWidth);
    sums.input->observe(difference.matrix(), x.matrix().rows_of(0, taught));
    if (taught == tokens) return sums;
    sums.taught_gram.emplace(*backend_, kWidth);
    sums.taught_gram->observe(x.matrix().rows_of(0, taught));
    return sums;
  }

  // (own + share * layer) entry by entry.
  void expect_mixed(tensor::ConstMatrixView mixed, tensor::ConstMatrixView own,
                    tensor::ConstMatrixView layer, double share) {
    for (std::int64_t i = 0; i < kWidth; ++i) {
      for (std::int64_t j = 0; j < kWidth; ++j) {
        const double expected = static_cast<double>(own.row<float>(i)[j]) +
                                share * static_cast<double>(layer.row<float>(i)[j]);
        EXPECT_NEAR(mixed.row<float>(i)[j], expected, 1e-4) << i << ", " << j;
      }
    }
  }

  std::unique_ptr<compute::Backend> backend_ = compute::make_cpu_backend(1);
};

TEST_F(LeanTest, GramAndAimTakeTheirOwnNumberOfTheLayersTokens) {
  const Sums own = sums_of(40, 10, 1);
  const Sums layer = sums_of(200, 50, 2);
  const Sums mixed = lean_on(*backend_, own, layer, {20, 100});
  EXPECT_EQ(mixed.gram.tokens(), 60);
  expect_mixed(mixed.gram.sum(), own.gram.sum(), layer.gram.sum(), 0.1);
  ASSERT_TRUE(mixed.input && mixed.taught_gram);
  EXPECT_EQ(mixed.input->tokens(), 110);
  EXPECT_EQ(mixed.taught().tokens(), 110);
  expect_mixed(mixed.input->sum(), own.input->sum(), layer.input->sum(), 2);
  expect_mixed(mixed.taught().sum(), own.taught().sum(), layer.taught().sum(), 2);
}

// What is aimed at is in proportion to the Gram of its own tokens, whichever those are.
TEST_F(LeanTest, AnAimThatLeansFurtherHasAGramOfItsOwn) {
  const Sums own = sums_of(40, 40, 3);
  const Sums layer = sums_of(200, 200, 4);
  const Sums apart = lean_on(*backend_, own, layer, {0, 400});
  EXPECT_EQ(apart.gram.tokens(), 40);
  ASSERT_TRUE(apart.taught_gram);
  EXPECT_EQ(apart.taught().tokens(), apart.input->tokens());
  expect_mixed(apart.taught().sum(), own.gram.sum(), layer.gram.sum(), 2);
  const Sums alike = lean_on(*backend_, own, layer, {20, 20});
  EXPECT_FALSE(alike.taught_gram);
  EXPECT_EQ(alike.input->tokens(), alike.taught().tokens());
}

TEST_F(LeanTest, NothingOfTheLayerLeavesTheSumsAsTheyAre) {
  const Sums own = sums_of(40, 10, 5);
  const Sums same = lean_on(*backend_, own, sums_of(200, 50, 6), {0, 0});
  EXPECT_EQ(same.gram.tokens(), 40);
  EXPECT_EQ(same.input->tokens(), 10);
  expect_mixed(same.gram.sum(), own.gram.sum(), own.gram.sum(), 0);
  expect_mixed(same.input->sum(), own.input->sum(), own.input->sum(), 0);
  expect_mixed(same.taught().sum(), own.taught().sum(), own.taught().sum(), 0);
}

TEST_F(LeanTest, AnExpertThatTheTeacherNeverSawAimsWithTheLayer) {
  Sums own = sums_of(40, 0, 7);
  own.input.emplace(*backend_, kWidth, kWidth);
  own.taught_gram.emplace(*backend_, kWidth);
  const Sums mixed = lean_on(*backend_, own, sums_of(200, 50, 8), {0, 25});
  EXPECT_EQ(mixed.input->tokens(), 25);
  EXPECT_EQ(mixed.taught().tokens(), 25);
  EXPECT_NE(mixed.pull(1).input, nullptr);
}

TEST_F(LeanTest, TheRule) {
  const Lean cold = usual_lean(sums_of(12, 12, 9), false);
  EXPECT_EQ(cold.gram, 9);
  EXPECT_EQ(cold.taught, 9);
  EXPECT_FALSE(usual_lean(sums_of(400, 400, 9), false).any());
  const Lean warm = usual_lean(sums_of(400, 400, 9), true);
  EXPECT_EQ(warm.gram, kWidth);
  EXPECT_EQ(warm.taught, 16 * kWidth);
  EXPECT_EQ(usual_lean(sums_of(400, 0, 9), true).taught, 0);
}

}  // namespace
}  // namespace whit::pipeline
