// What must hold of GPTQ whatever the numbers.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "base/error.h"
#include "numeric/float_codec.h"
#include "quant/grid.h"
#include "quant/samples.h"

namespace whit::quant {
namespace {

using namespace testing;

class Property : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<compute::Backend> backend_ = make_backend(GetParam());
};

compute::GridArgs grid_of(int bits, bool symmetric, std::int64_t group) {
  compute::GridArgs args;
  args.bits = bits;
  args.symmetric = symmetric;
  args.group_size = group;
  return args;
}

TEST_P(Property, NeverWorseThanRoundingOnCorrelatedInputs) {
  for (const int bits : {2, 3, 4, 8}) {
    for (const bool symmetric : {true, false}) {
      const auto seed = static_cast<std::uint64_t>(bits * 2 + (symmetric ? 1 : 0));
      const tensor::Tensor w = upload(*backend_, heavy_weights(32, 128, seed), 128);
      const stats::Gram gram = gram_of(*backend_, correlated_inputs(400, 128, seed), 128);
      const Factor factor = factor_gram(*backend_, gram, {});
      WeightReport report;
      gptq(*backend_, w.matrix(), gram, factor, grid_of(bits, symmetric, 32), 64, &report);
      EXPECT_LT(report.proxy_error, 0.9 * report.proxy_error_rtn) << bits << symmetric;
      EXPECT_GT(report.proxy_error, 0);
    }
  }
}

TEST_P(Property, CodesInRangeAndScalesStorable) {
  for (const auto dtype : {tensor::Dtype::kBF16, tensor::Dtype::kF16, tensor::Dtype::kF32}) {
    for (int bits = 2; bits <= 8; ++bits) {
      for (const bool symmetric : {true, false}) {
        auto args = grid_of(bits, symmetric, 32);
        args.scale_dtype = dtype;
        std::vector<float> values = heavy_weights(12, 64, static_cast<std::uint64_t>(bits));
        std::fill_n(values.begin(), 32, 0.0F);        // an empty group
        std::fill_n(values.begin() + 64, 32, 0.01F);  // a group on one side of zero
        const tensor::Tensor w = upload(*backend_, values, 64);
        const stats::Gram gram = gram_of(*backend_, correlated_inputs(100, 64, 9), 64);
        const Factor factor = factor_gram(*backend_, gram, {});
        const auto q = gptq(*backend_, w.matrix(), gram, factor, args, 32, nullptr);
        for (const int code : codes_of(*backend_, q.codes)) {
          EXPECT_GE(code, scheme::code_min(bits));
          EXPECT_LE(code, scheme::code_max(bits));
        }
        EXPECT_EQ(q.symmetric(), symmetric);
        if (!symmetric) {
          for (const int zero : codes_of(*backend_, q.zeros)) {
            EXPECT_GE(zero, scheme::code_min(bits));
            EXPECT_LE(zero, scheme::code_max(bits));
          }
        }
        for (const float s :
             tensor::to_f32_vector(backend_->memory().download(q.scales.view()).view())) {
          EXPECT_TRUE(std::isfinite(s) && s > 0);
          EXPECT_TRUE(dtype != tensor::Dtype::kBF16 || s == numeric::round_to_bf16(s));
          EXPECT_TRUE(dtype != tensor::Dtype::kF16 ||
                      s == numeric::f16_to_f32(numeric::f32_to_f16(s)));
        }
      }
    }
  }
}

TEST_P(Property, IdentityHessianIsPlainRounding) {
  const std::int64_t width = 96;
  tensor::Tensor identity({width, width}, tensor::Dtype::kF32);
  for (std::int64_t k = 0; k < width; ++k) identity.as<float>()[k * width + k] = 7.0F;
  const stats::Gram gram(*backend_, backend_->memory().upload(identity.view()), 14);
  const tensor::Tensor w = upload(*backend_, heavy_weights(20, width, 5), width);
  for (const bool symmetric : {true, false}) {
    const auto args = grid_of(4, symmetric, 32);
    const Factor factor = factor_gram(*backend_, gram, {});
    WeightReport report;
    const auto swept = gptq(*backend_, w.matrix(), gram, factor, args, 40, &report);
    const auto rounded = rtn(*backend_, w.matrix(), args);
    EXPECT_EQ(codes_of(*backend_, swept.codes), codes_of(*backend_, rounded.codes));
    EXPECT_NEAR(report.proxy_error, report.proxy_error_rtn, 1e-5 * report.proxy_error);
  }
}

TEST_P(Property, AllDeadIsPlainRoundingAndSaysSo) {
  const tensor::Tensor w = upload(*backend_, heavy_weights(8, 64, 5), 64);
  const stats::Gram gram = gram_of(*backend_, std::vector<float>(64 * 10, 0.0F), 64);
  const Factor factor = factor_gram(*backend_, gram, {});
  EXPECT_EQ(factor.dead.size(), 64U);
  const auto args = grid_of(4, true, 32);
  WeightReport report;
  const auto swept = gptq(*backend_, w.matrix(), gram, factor, args, 128, &report);
  EXPECT_EQ(codes_of(*backend_, swept.codes),
            codes_of(*backend_, rtn(*backend_, w.matrix(), args).codes));
  EXPECT_EQ(report.dead_columns, 64);
  EXPECT_EQ(report.proxy_error, 0);
}

// Columns moved within their groups, weights and inputs alike: the same codes, moved.
TEST_P(Property, OrderOfColumnsDoesNotMatter) {
  const std::int64_t width = 96;
  const std::int64_t group = 32;
  const std::vector<float> w = heavy_weights(24, width, 3);
  const std::vector<float> x = correlated_inputs(300, width, 4);
  std::vector<std::size_t> moved(static_cast<std::size_t>(width));
  std::iota(moved.begin(), moved.end(), std::size_t{0});
  std::mt19937 engine(1);
  for (auto first = moved.begin(); first != moved.end(); first += group)
    std::shuffle(first, first + group, engine);
  const auto move = [&](const std::vector<float>& in) {
    std::vector<float> out(in.size());
    for (std::size_t i = 0; i < in.size(); i += moved.size())
      for (std::size_t k = 0; k < moved.size(); ++k) out[i + k] = in[i + moved[k]];
    return out;
  };
  const auto quantize = [&](const std::vector<float>& weights, const std::vector<float>& inputs) {
    const tensor::Tensor device = upload(*backend_, weights, width);
    const stats::Gram gram = gram_of(*backend_, inputs, width);
    const Factor factor = factor_gram(*backend_, gram, {});
    const auto q =
        gptq(*backend_, device.matrix(), gram, factor, grid_of(4, true, group), 40, nullptr);
    return codes_of(*backend_, q.codes);
  };
  const auto codes = quantize(w, x);
  const auto moved_codes = quantize(move(w), move(x));
  std::vector<int> expected(codes.size());
  for (std::size_t i = 0; i < codes.size(); i += moved.size())
    for (std::size_t k = 0; k < moved.size(); ++k) expected[i + k] = codes[i + moved[k]];
  EXPECT_GE(share_equal(moved_codes, expected), 0.999);
}

TEST_P(Property, BlockSizeDoesNotMatter) {
  const tensor::Tensor w = upload(*backend_, heavy_weights(24, 128, 3), 128);
  const stats::Gram gram = gram_of(*backend_, correlated_inputs(300, 128, 4), 128);
  const Factor factor = factor_gram(*backend_, gram, {});
  const auto args = grid_of(4, true, 32);
  const auto whole =
      codes_of(*backend_, gptq(*backend_, w.matrix(), gram, factor, args, 4096, nullptr).codes);
  const std::vector<int> expected(whole.begin(), whole.end());
  for (const std::int64_t block : {1, 7, 32, 100}) {
    const auto q = gptq(*backend_, w.matrix(), gram, factor, args, block, nullptr);
    EXPECT_GE(share_equal(codes_of(*backend_, q.codes), expected), 0.999) << block;
  }
}

TEST_P(Property, RowsDoNotMixAndTheReportChangesNothing) {
  const std::vector<float> w = heavy_weights(10, 64, 3);
  const stats::Gram gram = gram_of(*backend_, correlated_inputs(300, 64, 4), 64);
  const Factor factor = factor_gram(*backend_, gram, {});
  const auto args = grid_of(4, true, 32);
  const tensor::Tensor device = upload(*backend_, w, 64);
  const auto all =
      codes_of(*backend_, gptq(*backend_, device.matrix(), gram, factor, args, 32, nullptr).codes);
  WeightReport report;
  EXPECT_EQ(all, codes_of(*backend_,
                          gptq(*backend_, device.matrix(), gram, factor, args, 32, &report).codes));
  const auto part = codes_of(
      *backend_,
      gptq(*backend_, device.matrix().rows_of(4, 3), gram, factor, args, 32, &report).codes);
  EXPECT_EQ(part, std::vector<std::int8_t>(all.begin() + 4 * 64, all.begin() + 7 * 64));
}

// Damping is nearly all of the damped error, and the report must still be right.
TEST_P(Property, ReportHoldsWhereDampingDominates) {
  const tensor::Tensor w = upload(*backend_, heavy_weights(16, 64, 3), 64);
  const stats::Gram gram = gram_of(*backend_, correlated_inputs(3, 64, 4), 64);
  const auto args = grid_of(8, true, 32);
  for (const auto order : {ColumnOrder::kActivation, ColumnOrder::kDefault}) {
    const Factor factor = factor_gram(*backend_, gram, {order, 1e5});
    WeightReport report;
    const auto q = gptq(*backend_, w.matrix(), gram, factor, args, 32, &report);
    tensor::Tensor w_hat = backend_->memory().allocate({16, 64}, tensor::Dtype::kF32);
    backend_->codec().decode_grouped(q, w_hat.matrix());
    const double exact = proxy_error(*backend_, w.matrix(), w_hat.matrix(), gram);
    EXPECT_NEAR(report.proxy_error, exact, 1e-3 * exact);
  }
}

TEST_P(Property, RefusesWhatItCannotDo) {
  const tensor::Tensor w = upload(*backend_, heavy_weights(4, 64, 3), 64);
  for (const auto& args : {grid_of(1, true, 32), grid_of(9, true, 32), grid_of(4, true, 0),
                           grid_of(4, true, 128), grid_of(4, true, 48)})
    EXPECT_THROW(rtn(*backend_, w.matrix(), args), base::Error);
}

// Wide and tall enough that every product is cut into several tiles.
TEST(Threads, SameBytesForAnyNumber) {
  const std::int64_t width = 640;
  const std::vector<float> w = heavy_weights(300, width, 3);
  const std::vector<float> x = correlated_inputs(1500, width, 4);
  std::vector<std::int8_t> codes, rounded;
  std::vector<float> scales;
  WeightReport report;
  for (const std::string name : {"cpu1", "cpu2", "cpu7"}) {
    const auto backend = make_backend(name);
    const tensor::Tensor device = upload(*backend, w, width);
    const stats::Gram gram = gram_of(*backend, x, width);
    const Factor factor = factor_gram(*backend, gram, {});
    WeightReport now;
    const auto q = gptq(*backend, device.matrix(), gram, factor, grid_of(4, true, 128), 128, &now);
    if (codes.empty()) {
      codes = codes_of(*backend, q.codes);
      rounded = codes_of(*backend, rtn(*backend, device.matrix(), grid_of(4, false, 128)).codes);
      scales = tensor::to_f32_vector(q.scales.view());
      report = now;
    }
    EXPECT_EQ(codes, codes_of(*backend, q.codes)) << name;
    EXPECT_EQ(rounded,
              codes_of(*backend, rtn(*backend, device.matrix(), grid_of(4, false, 128)).codes));
    EXPECT_EQ(scales, tensor::to_f32_vector(q.scales.view())) << name;
    EXPECT_EQ(report.proxy_error, now.proxy_error) << name;
    EXPECT_EQ(report.proxy_error_rtn, now.proxy_error_rtn) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, Property, ::testing::Values("reference", "cpu2"));

}  // namespace
}  // namespace whit::quant
