// whit against MoE-Quant's equations on the same weights and inputs.
#include <gtest/gtest.h>

#include <string>

#include "quant/samples.h"

namespace whit::quant {
namespace {

using namespace testing;

struct Case {
  std::string name;
  std::int64_t rows, cols, tokens;
  compute::GridArgs grid;
  FactorArgs factor;
  std::int64_t block_size;
  std::vector<std::int32_t> dead;
};

compute::GridArgs grid(int bits, bool symmetric, std::int64_t group, bool mse) {
  compute::GridArgs args;
  args.bits = bits;
  args.symmetric = symmetric;
  args.group_size = group;
  args.search = mse ? compute::ScaleSearch::kMse : compute::ScaleSearch::kAbsmax;
  return args;
}

std::vector<Case> cases() {
  const FactorArgs activation;
  const FactorArgs plain{ColumnOrder::kDefault, 0.01};
  return {
      {"int4", 48, 256, 600, grid(4, true, 64, true), activation, 128, {}},
      {"int4_absmax_default", 40, 192, 500, grid(4, true, 32, false), plain, 128, {}},
      {"int4_default_mse", 40, 192, 500, grid(4, true, 32, true), plain, 64, {}},
      {"int4_small_damping",
       40,
       128,
       500,
       grid(4, true, 32, true),
       {ColumnOrder::kActivation, 0.01},
       32,
       {}},
      {"int2", 40, 128, 400, grid(2, true, 32, true), activation, 48, {}},
      {"int3", 40, 128, 400, grid(3, true, 64, true), activation, 128, {}},
      {"int8", 40, 128, 400, grid(8, true, 64, true), activation, 128, {}},
      {"asymmetric", 48, 192, 500, grid(4, false, 64, true), activation, 128, {}},
      {"asymmetric_absmax", 48, 192, 500, grid(4, false, 64, false), activation, 128, {}},
      {"asymmetric_int8", 20, 128, 300, grid(8, false, 128, true), activation, 128, {}},
      {"asymmetric_int2", 40, 128, 300, grid(2, false, 32, true), plain, 128, {}},
      {"channel", 48, 160, 500, grid(4, true, 160, true), activation, 128, {}},
      {"one_row", 1, 256, 500, grid(4, true, 128, true), activation, 128, {}},
      {"one_column", 17, 1, 30, grid(4, true, 1, true), activation, 128, {}},
      {"groups_of_one", 9, 12, 30, grid(4, true, 1, true), activation, 5, {}},
      {"odd_width", 33, 105, 300, grid(4, true, 35, true), activation, 32, {}},
      {"dead", 40, 128, 400, grid(4, true, 32, true), activation, 48, {0, 5, 64, 127}},
      {"dead_default", 40, 128, 400, grid(4, false, 32, true), plain, 128, {3, 4, 100}},
      {"fewer_tokens_than_columns", 40, 128, 50, grid(4, true, 32, true), activation, 128, {}},
  };
}

// Nearer to a tie than single precision tells apart.
constexpr double kTie = 2e-5;

// The rows of m[N,K] that met no tie.
template <typename T>
std::vector<T> decided(const std::vector<T>& m, const std::vector<double>& margin) {
  const std::size_t width = m.size() / margin.size();
  std::vector<T> out;
  for (std::size_t n = 0; n < margin.size(); ++n)
    if (margin[n] > kTie)
      out.insert(out.end(), m.begin() + static_cast<std::ptrdiff_t>(n * width),
                 m.begin() + static_cast<std::ptrdiff_t>((n + 1) * width));
  return out;
}

class AgainstOracle : public ::testing::TestWithParam<std::string> {};

TEST_P(AgainstOracle, SameCodesAndProxyError) {
  const auto backend = make_backend(GetParam());
  std::uint64_t seed = 1;
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const std::vector<float> w = heavy_weights(c.rows, c.cols, seed++);
    std::vector<float> x = correlated_inputs(c.tokens, c.cols, seed++);
    kill_columns(x, c.cols, c.dead);
    const oracle::Matrix h = oracle::hessian(x, c.cols);
    const oracle::Result expected = oracle::gptq(w, c.cols, h, oracle_args(c.grid, c.factor));
    const std::vector<float> compared = decided(w, expected.margin);
    ASSERT_GE(compared.size(), w.size() * 3 / 4);
    const double expected_error =
        oracle::proxy_error(compared, decided(expected.w_hat, expected.margin), h, c.cols);

    const tensor::Tensor weight = upload(*backend, w, c.cols);
    const stats::Gram gram = gram_of(*backend, x, c.cols);
    const Factor factor = factor_gram(*backend, gram, c.factor);
    EXPECT_EQ(factor.dead, c.dead);
    WeightReport report;
    const scheme::GroupedInt q =
        gptq(*backend, weight.matrix(), gram, factor, c.grid, c.block_size, &report);
    EXPECT_GE(share_equal(decided(codes_of(*backend, q.codes), expected.margin),
                          decided(expected.codes, expected.margin)),
              0.999);
    EXPECT_EQ(report.dead_columns, static_cast<std::int64_t>(c.dead.size()));

    tensor::Tensor w_hat = backend->memory().allocate({c.rows, c.cols}, tensor::Dtype::kF32);
    backend->codec().decode_grouped(q, w_hat.matrix());
    const std::vector<float> decoded =
        tensor::to_f32_vector(backend->memory().download(w_hat.view()).view());
    const double decided_error = oracle::proxy_error(
        compared, decided(oracle::Matrix(decoded.begin(), decoded.end()), expected.margin), h,
        c.cols);
    EXPECT_NEAR(decided_error, expected_error, 1e-3 * expected_error);
    const double error = proxy_error(*backend, weight.matrix(), w_hat.matrix(), gram);
    EXPECT_NEAR(report.proxy_error, error, 1e-3 * error);
  }
}

TEST_P(AgainstOracle, PlainRounding) {
  const auto backend = make_backend(GetParam());
  std::uint64_t seed = 100;
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const std::vector<float> w = heavy_weights(c.rows, c.cols, seed++);
    const std::vector<float> x = correlated_inputs(c.tokens, c.cols, seed++);
    const oracle::Matrix h = oracle::hessian(x, c.cols);
    const oracle::Result expected = oracle::rtn(w, c.cols, oracle_args(c.grid, c.factor));
    const double expected_error = oracle::proxy_error(w, expected.w_hat, h, c.cols);

    const tensor::Tensor weight = upload(*backend, w, c.cols);
    const scheme::GroupedInt q = rtn(*backend, weight.matrix(), c.grid);
    EXPECT_GE(share_equal(codes_of(*backend, q.codes), expected.codes), 0.999);

    const stats::Gram gram = gram_of(*backend, x, c.cols);
    const Factor factor = factor_gram(*backend, gram, c.factor);
    WeightReport report;
    gptq(*backend, weight.matrix(), gram, factor, c.grid, c.block_size, &report);
    EXPECT_NEAR(report.proxy_error_rtn, expected_error, 1e-3 * expected_error);
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, AgainstOracle, ::testing::Values("reference", "cpu2"));

}  // namespace
}  // namespace whit::quant
