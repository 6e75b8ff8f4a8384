// Real weights and Grams of the demo model, and the codes that a torch loop in fp32 gives
// (scripts/conformance/make_gptq_golden.py).
#include "quant/golden.h"

#include <gtest/gtest.h>

#include <cstring>

#include "quant/samples.h"

namespace whit::quant {
namespace {

using namespace testing;

class AgainstTorch : public ::testing::TestWithParam<std::string> {};

TEST_P(AgainstTorch, SameCodesOnRealWeights) {
  const auto backend = make_backend(GetParam());
  for (const Golden& golden : kGoldens) {
    SCOPED_TRACE(golden.name);
    const auto w = read_npy<float>(golden.name + ".weight", "<f4");
    const auto codes = read_npy<std::int8_t>(golden.name + ".codes", "|i1");
    const auto scales = read_npy<float>(golden.name + ".scales", "<f4");
    const auto sum = read_npy<float>(golden.name + ".gram", "<f4");
    const tensor::Tensor weight = upload(*backend, w, golden.cols);
    const stats::Gram gram(*backend, upload(*backend, sum, golden.cols), kGoldenTokens);
    compute::GridArgs grid;
    grid.group_size = golden.group_size;
    const Factor factor = factor_gram(*backend, gram, {});
    WeightReport report;
    const auto q = gptq(*backend, weight.matrix(), gram, factor, grid, 128, &report);
    EXPECT_GE(share_equal(codes_of(*backend, q.codes), {codes.begin(), codes.end()}), 0.999);

    const auto found = tensor::to_f32_vector(backend->memory().download(q.scales.view()).view());
    std::size_t equal = 0;
    for (std::size_t i = 0; i < found.size(); ++i) equal += found[i] == scales[i] ? 1 : 0;
    EXPECT_GE(static_cast<double>(equal), 0.999 * static_cast<double>(found.size()));

    tensor::Tensor host_codes(q.codes.shape(), tensor::Dtype::kI8);
    std::memcpy(host_codes.data(), codes.data(), codes.size());
    scheme::GroupedInt reference;
    reference.group_size = golden.group_size;
    reference.codes = backend->memory().upload(host_codes.view());
    reference.scales = upload(*backend, scales, golden.cols / golden.group_size);
    tensor::Tensor w_hat = backend->memory().allocate(q.codes.shape(), tensor::Dtype::kF32);
    backend->codec().decode_grouped(reference, w_hat.matrix());
    const double error = proxy_error(*backend, weight.matrix(), w_hat.matrix(), gram);
    EXPECT_NEAR(report.proxy_error, error, 1e-3 * error);
    EXPECT_LT(report.proxy_error, 0.95 * report.proxy_error_rtn);
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, AgainstTorch, ::testing::Values("reference", "cpu2"));

}  // namespace
}  // namespace whit::quant
