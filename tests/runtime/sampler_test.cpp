#include "runtime/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "base/error.h"

namespace whit::runtime {
namespace {

// Shares of each id over many draws.
std::map<std::int32_t, double> shares(const SamplingArgs& args, const std::vector<float>& logits) {
  Sampler sampler(args);
  constexpr int kDraws = 20000;
  std::map<std::int32_t, double> found;
  for (int i = 0; i < kDraws; ++i) found[sampler.next(logits)] += 1.0 / kDraws;
  return found;
}

std::vector<float> logs(const std::vector<double>& probabilities) {
  std::vector<float> out;
  for (const double p : probabilities) out.push_back(static_cast<float>(std::log(p)));
  return out;
}

TEST(Sampler, GreedyTakesTheLowestOfEqualLogits) {
  Sampler sampler({});
  EXPECT_EQ(sampler.next(std::vector<float>{1, 3, 2, 3}), 1);
  EXPECT_EQ(argmax(std::vector<float>{-5, -5}), 0);
}

TEST(Sampler, SameSeedSameDraws) {
  const auto logits = logs({0.2, 0.3, 0.1, 0.4});
  SamplingArgs args;
  args.temperature = 1;
  args.seed = 7;
  Sampler a(args), b(args);
  args.seed = 8;
  Sampler c(args);
  std::vector<std::int32_t> from_a, from_b, from_c;
  for (int i = 0; i < 64; ++i) {
    from_a.push_back(a.next(logits));
    from_b.push_back(b.next(logits));
    from_c.push_back(c.next(logits));
  }
  EXPECT_EQ(from_a, from_b);
  EXPECT_NE(from_a, from_c);
}

TEST(Sampler, DrawsAsTheProbabilitiesSay) {
  SamplingArgs args;
  args.temperature = 1;
  const auto found = shares(args, logs({0.2, 0.3, 0.1, 0.4}));
  EXPECT_NEAR(found.at(0), 0.2, 0.02);
  EXPECT_NEAR(found.at(2), 0.1, 0.02);
  EXPECT_NEAR(found.at(3), 0.4, 0.02);
}

TEST(Sampler, TemperatureSharpens) {
  SamplingArgs args;
  args.temperature = 0.5;  // squares the odds: 0.04 : 0.16
  EXPECT_NEAR(shares(args, logs({0.2, 0.4})).at(1), 0.8, 0.02);
}

TEST(Sampler, TopKKeepsTheLikeliest) {
  SamplingArgs args;
  args.temperature = 1;
  args.top_k = 2;
  const auto found = shares(args, logs({0.2, 0.3, 0.1, 0.4}));
  EXPECT_EQ(found.size(), 2U);
  EXPECT_NEAR(found.at(3), 0.4 / 0.7, 0.02);
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesIt) {
  SamplingArgs args;
  args.temperature = 1;
  args.top_p = 0.6;
  const auto found = shares(args, logs({0.2, 0.3, 0.1, 0.4}));
  EXPECT_EQ(found.size(), 2U);
  EXPECT_TRUE(found.contains(3) && found.contains(1));
}

TEST(Sampler, MinPDropsTheUnlikely) {
  SamplingArgs args;
  args.temperature = 1;
  args.min_p = 0.6;  // of 0.4: 0.24
  const auto found = shares(args, logs({0.2, 0.3, 0.1, 0.4}));
  EXPECT_EQ(found.size(), 2U);
}

TEST(Sampler, RefusesNaNAndNonsense) {
  Sampler sampler({});
  EXPECT_THROW(sampler.next(std::vector<float>{0, std::numeric_limits<float>::quiet_NaN()}),
               base::Error);
  SamplingArgs args;
  args.temperature = -1;
  EXPECT_THROW(Sampler{args}, base::Error);
  args.temperature = 1;
  args.top_p = 0;
  EXPECT_THROW(Sampler{args}, base::Error);
}

}  // namespace
}  // namespace whit::runtime
