// Choices on held-out tokens, and the corrections of what stays unquantized.
#include "quant/held_out.h"

#include <gtest/gtest.h>

#include <random>

#include "quant/norm_correction.h"
#include "quant/samples.h"
#include "quant/shrink.h"

namespace whit::quant {
namespace {

using namespace testing;

constexpr std::int64_t kWidth = 48;
constexpr std::int64_t kTokens = 400;

std::vector<float> noise(std::size_t size, float scale, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(size);
  for (float& value : values) value = normal(generator);
  return values;
}

// One half of the tokens: what the quantized model sees, and how far the original is from it.
struct Half {
  stats::Gram gram;
  stats::CrossGram cross;
};

Half make_half(compute::Backend& backend, unsigned seed, float signal, float random) {
  const std::vector<float> x = correlated_inputs(kTokens, kWidth, seed);
  std::vector<float> difference = noise(x.size(), random, seed + 100);
  for (std::size_t i = 0; i < x.size(); ++i) difference[i] += signal * x[i];
  Half half{gram_of(backend, x, kWidth), stats::CrossGram(backend, kWidth, kWidth)};
  half.cross.observe(upload(backend, difference, kWidth).matrix(),
                     upload(backend, x, kWidth).matrix());
  return half;
}

double share_of(float signal, float random) {
  const auto backend = make_backend("cpu2");
  const Half a = make_half(*backend, 1, signal, random);
  const Half b = make_half(*backend, 2, signal, random);
  const tensor::Tensor w = upload(*backend, heavy_weights(20, kWidth, 3), kWidth);
  const Factor factor = factor_gram(*backend, a.gram, {ColumnOrder::kActivation, 0.01});
  return held_out_pull(*backend, w.matrix(), factor, {&a.cross}, b.gram, {&b.cross}).share();
}

TEST(HeldOut, ADifferenceThatRepeatsIsAimedAt) {
  EXPECT_GT(share_of(0.05F, 0.0F), 0.95);
}

TEST(HeldOut, NoiseIsNot) {
  EXPECT_LT(share_of(0.0F, 1.0F), 0.35);
}

TEST(HeldOut, BetweenThemTheShareIsBetween) {
  const double share = share_of(1.0F, 1.0F);
  EXPECT_GT(share, share_of(0.0F, 1.0F));
  EXPECT_GT(share, 0.1);
  EXPECT_LT(share, share_of(0.05F, 0.0F));
}

// along and size are the terms of the error that the other half's tokens sum up.
TEST(HeldOut, GainIsWhatTheMoveTakesOff) {
  const auto backend = make_backend("cpu2");
  const Half a = make_half(*backend, 1, 0.3F, 0.5F);
  const Half b = make_half(*backend, 2, 0.3F, 0.5F);
  const tensor::Tensor w = upload(*backend, heavy_weights(20, kWidth, 3), kWidth);
  const Factor factor = factor_gram(*backend, a.gram, {ColumnOrder::kActivation, 0.01});
  const HeldOutPull pull =
      held_out_pull(*backend, w.matrix(), factor, {&a.cross}, b.gram, {&b.cross});
  const double best = pull.along / pull.size;
  ASSERT_GT(best, 0);
  ASSERT_LT(best, 1);
  EXPECT_NEAR(pull.gain(), 2 * best * pull.along - best * best * pull.size, 1e-9 * pull.along);
  EXPECT_NEAR(pull.share(), 2 * best / (1 + best), 1e-12);
  EXPECT_EQ((HeldOutPull{-1, 2}.gain()), 0);
  EXPECT_EQ((HeldOutPull{1, 0}.share()), 0);
  EXPECT_EQ((HeldOutPull{4, 2}.share()), 1);
  EXPECT_EQ((HeldOutPull{4, 2}.gain()), 6);  // no further than the whole way
}

// Where all experts are off in the same way, a few own tokens aim worse than many of the layer's.
TEST(HeldOut, ACommonDifferenceAsksToLean) {
  const auto backend = make_backend("cpu2");
  const auto x = correlated_inputs(60, kWidth, 1);
  auto difference = noise(x.size(), 1.0F, 2);
  for (std::size_t i = 0; i < x.size(); ++i) difference[i] += 0.3F * x[i];
  const stats::Gram own = gram_of(*backend, x, kWidth);
  stats::CrossGram cross(*backend, kWidth, kWidth);
  cross.observe(upload(*backend, difference, kWidth).matrix(),
                upload(*backend, x, kWidth).matrix());
  const Half layer = make_half(*backend, 3, 0.3F, 1.0F);
  const Half judge = make_half(*backend, 4, 0.3F, 1.0F);
  const tensor::Tensor w = upload(*backend, heavy_weights(20, kWidth, 5), kWidth);
  const auto gain = [&](const stats::Gram& gram, const stats::CrossGram& pull) {
    const Factor factor = factor_gram(*backend, gram, {ColumnOrder::kActivation, 0.1});
    return held_out_pull(*backend, w.matrix(), factor, {&pull}, judge.gram, {&judge.cross}).gain();
  };
  const stats::CrossGram leaning = shrink_cross(*backend, cross, layer.cross, 16 * kWidth);
  EXPECT_EQ(leaning.tokens(), 60 + 16 * kWidth);
  EXPECT_GT(gain(shrink_gram(*backend, own, layer.gram, 16 * kWidth), leaning),
            1.2 * gain(own, cross));
  // Without a token of the layer's it is what it was.
  const stats::CrossGram same = shrink_cross(*backend, cross, layer.cross, 0);
  EXPECT_EQ(gain(own, same), gain(own, cross));
}

// Few tokens fit their own noise: with too little damping the other half pays for it.
TEST(HeldOut, FewTokensAskForDamping) {
  const auto backend = make_backend("cpu2");
  const auto x = correlated_inputs(60, kWidth, 5);
  const stats::Gram fit = gram_of(*backend, x, kWidth);
  const stats::Gram judge = gram_of(*backend, correlated_inputs(4000, kWidth, 6), kWidth);
  const tensor::Tensor w = upload(*backend, heavy_weights(64, kWidth, 7), kWidth);
  compute::GridArgs grid;
  grid.bits = 3;
  grid.group_size = 16;
  const auto error = [&](double damping) {
    const Factor factor = factor_gram(*backend, fit, {ColumnOrder::kActivation, damping});
    return held_out_error(*backend, w.matrix(), fit, factor, judge, grid, 128);
  };
  EXPECT_LT(error(0.1), error(1e-5));
}

// A norm that the student needs 1.25 times as strong in every other channel.
TEST(NormCorrection, FindsTheFactors) {
  const auto backend = make_backend("cpu2");
  const std::vector<float> x = correlated_inputs(4000, kWidth, 8);
  std::vector<float> difference(x.size());
  for (std::size_t i = 0; i < x.size(); ++i)
    difference[i] = i % kWidth % 2 == 0 ? 0.25F * x[i] : 0.0F;
  const stats::Gram gram = gram_of(*backend, x, kWidth);
  stats::CrossGram cross(*backend, kWidth, kWidth);
  cross.observe(upload(*backend, difference, kWidth).matrix(),
                upload(*backend, x, kWidth).matrix());
  const tensor::Tensor w = upload(*backend, heavy_weights(300, kWidth, 9), kWidth);
  const auto factors = norm_correction(*backend, w.matrix(), gram, cross, {1e-6, 1.0});
  for (std::size_t k = 0; k < factors.size(); ++k)
    EXPECT_NEAR(factors[k], k % 2 == 0 ? 1.25 : 1.0, 5e-3) << k;
}

}  // namespace
}  // namespace whit::quant
