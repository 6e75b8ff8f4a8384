// A metric over a weight's outputs: its sweep and descents never raise the error that it defines.
#include "quant/output_metric.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "quant/samples.h"

namespace whit::quant {
namespace {

using namespace testing;

// Blocks of covariance whose eigenvalues fall by `decay` from one to the next, in random
// directions.
std::vector<float> metric_blocks(std::int64_t rows, std::int64_t block, double decay,
                                 unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal;
  std::vector<float> m(static_cast<std::size_t>(rows * block));
  for (std::int64_t first = 0; first < rows; first += block) {
    double strength = 1;
    for (std::int64_t c = 0; c < block; ++c, strength *= decay) {
      std::vector<double> direction;
      for (std::int64_t i = 0; i < block; ++i) direction.push_back(normal(generator));
      for (std::int64_t i = 0; i < block; ++i)
        for (std::int64_t j = 0; j < block; ++j)
          m[static_cast<std::size_t>((first + i) * block + j)] +=
              static_cast<float>(strength * direction[static_cast<std::size_t>(i)] *
                                 direction[static_cast<std::size_t>(j)]);
    }
  }
  return m;
}

class Metric : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<compute::Backend> backend_ = make_backend(GetParam());
};
INSTANTIATE_TEST_SUITE_P(Backends, Metric, ::testing::Values("reference", "cpu1", "cpu7"));

struct MetricCase {
  std::int64_t rows = 24, cols = 96, group = 32, block = 8;
  int bits = 4;
  bool symmetric = true;
  std::vector<std::int32_t> dead = {};
};

TEST_P(Metric, NoStepRaisesItsError) {
  std::vector<MetricCase> cases;
  for (int bits = 2; bits <= 8; ++bits)
    for (const bool symmetric : {true, false}) cases.push_back({24, 96, 32, 8, bits, symmetric});
  cases.push_back({1, 200, 40, 1});
  cases.push_back({40, 130, 130, 40});
  cases.push_back({6, 64, 1, 3});
  cases.push_back({24, 96, 32, 8, 4, true, {0, 31, 32, 33, 95}});
  for (const MetricCase& c : cases) {
    SCOPED_TRACE(::testing::Message() << c.rows << "x" << c.cols << " bits " << c.bits << " block "
                                      << c.block << (c.symmetric ? "" : " asymmetric"));
    const tensor::Tensor w = upload(*backend_, heavy_weights(c.rows, c.cols, 3), c.cols);
    std::vector<float> x = correlated_inputs(300, c.cols, 4);
    kill_columns(x, c.cols, c.dead);
    const stats::Gram gram = gram_of(*backend_, x, c.cols);
    const Factor factor = factor_gram(*backend_, gram, {});
    compute::GridArgs grid;
    grid.bits = c.bits;
    grid.symmetric = c.symmetric;
    grid.group_size = c.group;
    auto q = gptq(*backend_, w.matrix(), gram, factor, grid, 32, nullptr);
    const tensor::Tensor blocks =
        upload(*backend_, metric_blocks(c.rows, c.block, 0.5, 5), c.block);
    const OutputMetric metric = factor_metric(*backend_, blocks.matrix(), 0.03);
    double before = metric_error(*backend_, w.matrix(), gram, factor, metric, q);
    for (const int passes : {0, 1, 3}) {
      sweep_under_metric(*backend_, w.matrix(), gram, factor, metric, 32, passes, q);
      const double after = metric_error(*backend_, w.matrix(), gram, factor, metric, q);
      EXPECT_LE(after, before * (1 + 1e-5));
      before = after;
    }
    for (const int code : codes_of(*backend_, q.codes)) {
      ASSERT_GE(code, scheme::code_min(c.bits));
      ASSERT_LE(code, scheme::code_max(c.bits));
    }
  }
}

TEST_P(Metric, ErrorsGoWhereTheyDoNotMatter) {
  const tensor::Tensor w = upload(*backend_, heavy_weights(32, 128, 3), 128);
  const stats::Gram gram = gram_of(*backend_, correlated_inputs(600, 128, 4), 128);
  const Factor factor = factor_gram(*backend_, gram, {});
  compute::GridArgs grid;
  grid.group_size = 32;
  auto q = gptq(*backend_, w.matrix(), gram, factor, grid, 64, nullptr);
  const tensor::Tensor blocks = upload(*backend_, metric_blocks(32, 32, 0.6, 5), 32);
  const OutputMetric metric = factor_metric(*backend_, blocks.matrix(), 0.01);
  const double before = metric_error(*backend_, w.matrix(), gram, factor, metric, q);
  sweep_under_metric(*backend_, w.matrix(), gram, factor, metric, 64, 0, q);
  EXPECT_LT(metric_error(*backend_, w.matrix(), gram, factor, metric, q), 0.6 * before);
}

TEST_P(Metric, TheIdentityAsksForNothing) {
  const tensor::Tensor w = upload(*backend_, heavy_weights(12, 64, 3), 64);
  const stats::Gram gram = gram_of(*backend_, correlated_inputs(300, 64, 4), 64);
  const Factor factor = factor_gram(*backend_, gram, {});
  compute::GridArgs grid;
  grid.group_size = 32;
  auto q = gptq(*backend_, w.matrix(), gram, factor, grid, 64, nullptr);
  const auto codes = codes_of(*backend_, q.codes);
  std::vector<float> identity(12 * 4);
  for (std::size_t n = 0; n < 12; ++n) identity[n * 4 + n % 4] = 1;
  const tensor::Tensor blocks = upload(*backend_, identity, 4);
  const OutputMetric metric = factor_metric(*backend_, blocks.matrix(), 0.0);
  sweep_under_metric(*backend_, w.matrix(), gram, factor, metric, 64, 0, q);
  EXPECT_EQ(codes_of(*backend_, q.codes), codes);
}

// What nothing reads has no metric: its block is taken for the identity.
TEST_P(Metric, ABlockOfZerosIsTheIdentity) {
  const tensor::Tensor blocks = upload(*backend_, std::vector<float>(6 * 3), 3);
  const OutputMetric metric = factor_metric(*backend_, blocks.matrix(), 0.03);
  const auto m = tensor::to_f32_vector(backend_->memory().download(metric.m.view()).view());
  for (std::size_t i = 0; i < m.size(); ++i) EXPECT_EQ(m[i], i % 3 == i / 3 % 3 ? 1.0F : 0.0F);
}

}  // namespace
}  // namespace whit::quant
