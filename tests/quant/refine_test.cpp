// Refinements never raise the error that they work on, whatever the numbers.
#include "quant/refine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <iostream>

#include "numeric/float_codec.h"
#include "quant/golden.h"
#include "quant/samples.h"

namespace whit::quant {
namespace {

using namespace testing;

// H up to 2/tokens, damped, in double.
std::vector<double> damped_hessian(compute::Backend& backend, const stats::Gram& gram,
                                   const Factor& factor) {
  const std::int64_t width = gram.width();
  tensor::Tensor sum = backend.memory().allocate({width, width}, tensor::Dtype::kF32);
  backend.memory().copy(gram.sum(), sum.matrix());
  const auto values = tensor::to_f32_vector(backend.memory().download(sum.view()).view());
  std::vector<double> h(values.begin(), values.end());
  for (std::size_t i = 0; i < factor.order.size(); ++i)
    h[static_cast<std::size_t>(factor.order[i]) * static_cast<std::size_t>(width + 1)] +=
        factor.added[i] * static_cast<double>(factor.tokens) / 2;
  return h;
}

// Per row, (w - ŵ) H (w - ŵ)ᵀ in plain loops.
std::vector<double> row_errors(compute::Backend& backend, const std::vector<float>& w,
                               const std::vector<double>& h, const scheme::GroupedInt& weight) {
  const std::int64_t rows = weight.rows();
  const std::int64_t cols = weight.cols();
  tensor::Tensor decoded = backend.memory().allocate({rows, cols}, tensor::Dtype::kF32);
  backend.codec().decode_grouped(weight, decoded.matrix());
  const auto w_hat = tensor::to_f32_vector(backend.memory().download(decoded.view()).view());
  std::vector<double> errors;
  for (std::int64_t n = 0; n < rows; ++n) {
    std::vector<double> e;
    for (std::int64_t k = 0; k < cols; ++k) {
      const auto at = static_cast<std::size_t>(n * cols + k);
      e.push_back(static_cast<double>(w[at]) - static_cast<double>(w_hat[at]));
    }
    double sum = 0;
    for (std::size_t i = 0; i < e.size(); ++i) {
      double turned = 0;
      for (std::size_t j = 0; j < e.size(); ++j) turned += h[i * e.size() + j] * e[j];
      sum += e[i] * turned;
    }
    errors.push_back(sum);
  }
  return errors;
}

struct RefineCase {
  std::int64_t rows = 12;
  std::int64_t cols = 96;
  std::int64_t group = 32;
  int bits = 4;
  bool symmetric = true;
  tensor::Dtype scale_dtype = tensor::Dtype::kBF16;
  std::int64_t tokens = 300;
  double rel_damp = 0.1;
  std::vector<std::int32_t> dead = {};
  bool moved_target = false;
  bool either_sign = false;
};

std::ostream& operator<<(std::ostream& out, const RefineCase& c) {
  return out << c.rows << "x" << c.cols << " groups of " << c.group << " bits " << c.bits
             << (c.symmetric ? " symmetric " : " asymmetric ") << numeric::name_of(c.scale_dtype)
             << " tokens " << c.tokens << " damp " << c.rel_damp << " dead " << c.dead.size()
             << (c.moved_target ? " moved" : "") << (c.either_sign ? " either sign" : "");
}

std::vector<RefineCase> refine_cases() {
  std::vector<RefineCase> all;
  for (int bits = 2; bits <= 8; ++bits)
    for (const bool symmetric : {true, false}) {
      RefineCase c;
      c.bits = bits;
      c.symmetric = symmetric;
      all.push_back(c);
    }
  all.push_back({1, 200, 40});             // one row; the last block is not whole
  all.push_back({40, 130, 130});           // channel scales over two blocks
  all.push_back({3, 64, 1});               // a scale a weight
  all.push_back({5, 260, 260, 3, false});  // channel scales, asymmetric, three blocks
  all.push_back({9, 96, 96, 8, true, tensor::Dtype::kF16});
  all.push_back({9, 96, 48, 8, false, tensor::Dtype::kF32});
  RefineCase dead;
  dead.dead = {0, 31, 32, 33, 34, 35, 95};
  all.push_back(dead);
  RefineCase whole_group = dead;
  for (std::int32_t k = 32; k < 64; ++k) whole_group.dead.push_back(k);
  all.push_back(whole_group);
  RefineCase few_tokens;
  few_tokens.tokens = 20;
  all.push_back(few_tokens);
  few_tokens.rel_damp = 1e-4;
  all.push_back(few_tokens);
  RefineCase moved;
  moved.moved_target = true;
  all.push_back(moved);
  moved.either_sign = true;
  all.push_back(moved);
  for (int bits = 2; bits <= 8; ++bits) {
    RefineCase c;
    c.bits = bits;
    c.either_sign = true;
    all.push_back(c);
  }
  return all;
}

class Refine : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<compute::Backend> backend_ = make_backend(GetParam());
};

void expect_sound(compute::Backend& backend, const scheme::GroupedInt& q) {
  for (const int code : codes_of(backend, q.codes)) {
    ASSERT_GE(code, scheme::code_min(q.bits));
    ASSERT_LE(code, scheme::code_max(q.bits));
  }
  for (const float s : tensor::to_f32_vector(backend.memory().download(q.scales.view()).view())) {
    ASSERT_TRUE(std::isfinite(s) && s != 0);
    ASSERT_TRUE(q.scale_dtype != tensor::Dtype::kBF16 || s == numeric::round_to_bf16(s));
    ASSERT_TRUE(q.scale_dtype != tensor::Dtype::kF16 ||
                s == numeric::f16_to_f32(numeric::f32_to_f16(s)));
  }
}

TEST_P(Refine, NoRowsErrorRises) {
  for (const RefineCase& c : refine_cases()) {
    SCOPED_TRACE(c);
    std::vector<float> values = heavy_weights(c.rows, c.cols, 3);
    std::fill_n(values.begin(), c.group, 0.0F);  // a group of zeros
    std::vector<float> x = correlated_inputs(c.tokens, c.cols, 4);
    kill_columns(x, c.cols, c.dead);
    const stats::Gram gram = gram_of(*backend_, x, c.cols);
    const Factor factor = factor_gram(*backend_, gram, {ColumnOrder::kActivation, c.rel_damp});
    compute::GridArgs grid;
    grid.bits = c.bits;
    grid.symmetric = c.symmetric;
    grid.group_size = c.group;
    grid.scale_dtype = c.scale_dtype;
    grid.either_sign = c.either_sign;
    const tensor::Tensor w = upload(*backend_, values, c.cols);
    auto q = gptq(*backend_, w.matrix(), gram, factor, grid, 32, nullptr);
    if (c.moved_target)  // the grid knows nothing of the target
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] += 0.01F * static_cast<float>(static_cast<int>(i % 5) - 2);
    const tensor::Tensor target = upload(*backend_, values, c.cols);
    const auto h = damped_hessian(*backend_, gram, factor);
    auto before = row_errors(*backend_, values, h, q);
    const auto zeros = q.symmetric() ? std::vector<std::int8_t>{} : codes_of(*backend_, q.zeros);
    double first = 0, last = 0;
    for (const double e : before) first += e;
    for (const RefineArgs& step : {RefineArgs{false, true, 0}, RefineArgs{false, false, 1},
                                   RefineArgs{false, false, 3}, RefineArgs{false, true, 2}}) {
      refine(*backend_, target.matrix(), gram, factor, step, q);
      const auto after = row_errors(*backend_, values, h, q);
      for (std::size_t n = 0; n < after.size(); ++n)
        EXPECT_LE(after[n], before[n] * (1 + 1e-6)) << "row " << n;
      before = after;
      expect_sound(*backend_, q);
    }
    for (const double e : before) last += e;
    EXPECT_LT(last, first);
    EXPECT_EQ(zeros, q.symmetric() ? zeros : codes_of(*backend_, q.zeros));
  }
}

// No single code can then be moved with profit: what descent promises at its end.
TEST_P(Refine, DescentEndsWhereNoCodeCanMove) {
  const std::vector<float> values = heavy_weights(6, 64, 7);
  const tensor::Tensor w = upload(*backend_, values, 64);
  const stats::Gram gram = gram_of(*backend_, correlated_inputs(200, 64, 8), 64);
  const Factor factor = factor_gram(*backend_, gram, {});
  compute::GridArgs grid;
  grid.group_size = 32;
  auto q = gptq(*backend_, w.matrix(), gram, factor, grid, 64, nullptr, {false, false, 50});
  const auto h = damped_hessian(*backend_, gram, factor);
  const auto best = row_errors(*backend_, values, h, q);
  const auto codes = codes_of(*backend_, q.codes);
  for (std::size_t i = 0; i < codes.size(); i += 5) {
    for (const int by : {-1, 1}) {
      const int code = codes[i] + by;
      if (code < scheme::code_min(4) || code > scheme::code_max(4)) continue;
      tensor::Tensor other = backend_->memory().download(q.codes.view());
      other.as<std::int8_t>()[i] = static_cast<std::int8_t>(code);
      const tensor::Tensor kept = std::move(q.codes);
      q.codes = backend_->memory().upload(other.view());
      const auto moved = row_errors(*backend_, values, h, q);
      EXPECT_GE(moved[i / 64], best[i / 64] * (1 - 2e-3));
      q.codes = backend_->memory().upload(kept.view());
    }
  }
}

TEST_P(Refine, RefitFindsTheScaleOfOneGroup) {
  // With one group and fp32 scales the best scale is known: s (1 + r / A).
  const std::vector<float> values = heavy_weights(7, 40, 9);
  const tensor::Tensor w = upload(*backend_, values, 40);
  const stats::Gram gram = gram_of(*backend_, correlated_inputs(200, 40, 8), 40);
  const Factor factor = factor_gram(*backend_, gram, {});
  compute::GridArgs grid;
  grid.group_size = 40;
  grid.bits = 3;
  grid.scale_dtype = tensor::Dtype::kF32;
  const auto swept = gptq(*backend_, w.matrix(), gram, factor, grid, 64, nullptr);
  const auto refitted =
      gptq(*backend_, w.matrix(), gram, factor, grid, 64, nullptr, {false, true, 0});
  const auto codes = codes_of(*backend_, swept.codes);
  EXPECT_EQ(codes, codes_of(*backend_, refitted.codes));
  const auto h = damped_hessian(*backend_, gram, factor);
  const auto scales =
      tensor::to_f32_vector(backend_->memory().download(refitted.scales.view()).view());
  for (std::size_t n = 0; n < 7; ++n) {
    double along = 0, square = 0;
    for (std::size_t i = 0; i < 40; ++i)
      for (std::size_t j = 0; j < 40; ++j) {
        along += static_cast<double>(codes[n * 40 + i]) * h[i * 40 + j] *
                 static_cast<double>(values[n * 40 + j]);
        square += static_cast<double>(codes[n * 40 + i]) * h[i * 40 + j] *
                  static_cast<double>(codes[n * 40 + j]);
      }
    EXPECT_NEAR(static_cast<double>(scales[n]) / (along / square), 1.0, 1e-5);
  }
}

TEST_P(Refine, NothingAskedNothingChanged) {
  const tensor::Tensor w = upload(*backend_, heavy_weights(6, 64, 7), 64);
  const stats::Gram gram = gram_of(*backend_, correlated_inputs(200, 64, 8), 64);
  const Factor factor = factor_gram(*backend_, gram, {});
  compute::GridArgs grid;
  grid.group_size = 32;
  WeightReport plain, report;
  const auto a = gptq(*backend_, w.matrix(), gram, factor, grid, 64, &plain);
  EXPECT_EQ(plain.proxy_error, plain.proxy_error_swept);
  const RefineArgs all{true, true, 2};
  const auto b = gptq(*backend_, w.matrix(), gram, factor, grid, 64, &report, all);
  EXPECT_NE(codes_of(*backend_, a.codes), codes_of(*backend_, b.codes));
  EXPECT_LT(report.proxy_error, report.proxy_error_swept);
  tensor::Tensor w_hat = backend_->memory().allocate({6, 64}, tensor::Dtype::kF32);
  backend_->codec().decode_grouped(b, w_hat.matrix());
  const double exact = proxy_error(*backend_, w.matrix(), w_hat.matrix(), gram);
  EXPECT_NEAR(report.proxy_error, exact, 1e-3 * exact);
  const auto c = gptq(*backend_, w.matrix(), gram, factor, grid, 64, nullptr, all);
  EXPECT_EQ(codes_of(*backend_, b.codes), codes_of(*backend_, c.codes));
  EXPECT_EQ(tensor::to_f32_vector(b.scales.view()), tensor::to_f32_vector(c.scales.view()));
}

// What each is worth on real weights; docs/methods/refine.md quotes the table.
TEST_P(Refine, RealWeightsLoseLess) {
  const auto quantize = [&](const Golden& golden, const RefineArgs& args) {
    const tensor::Tensor w =
        upload(*backend_, read_npy<float>(golden.name + ".weight", "<f4"), golden.cols);
    const stats::Gram gram(
        *backend_, upload(*backend_, read_npy<float>(golden.name + ".gram", "<f4"), golden.cols),
        kGoldenTokens);
    compute::GridArgs grid;
    grid.group_size = golden.group_size;
    WeightReport report;
    gptq(*backend_, w.matrix(), gram, factor_gram(*backend_, gram, {}), grid, 128, &report, args);
    return report.proxy_error;
  };
  for (const Golden& golden : kGoldens) {
    const double plain = quantize(golden, {});
    const auto gain = [&](const char* what, const RefineArgs& args) {
      const double error = quantize(golden, args);
      std::cout << golden.name << ": " << what << " " << plain << " -> " << error << " ("
                << 100 * (error / plain - 1) << " %)\n";
      return 1 - error / plain;
    };
    gain("weighted scales", {true, false, 0});
    EXPECT_GT(gain("refit", {false, true, 0}), 0.01);
    EXPECT_GT(gain("descent, 4 passes", {false, false, 4}), 0.02);
    EXPECT_GT(gain("refit and descent", {false, true, 4}), 0.05);
    EXPECT_GT(gain("all three", {true, true, 4}), 0.07);
  }
}

// More rows than a refit works on at once.
TEST(RefineParts, LateRowsAreRefittedToo) {
  const auto backend = make_backend("cpu2");
  const std::int64_t rows = 140, cols = 256;
  const std::vector<float> values = heavy_weights(rows, cols, 3);
  const tensor::Tensor w = upload(*backend, values, cols);
  const stats::Gram gram = gram_of(*backend, correlated_inputs(400, cols, 4), cols);
  const Factor factor = factor_gram(*backend, gram, {});
  compute::GridArgs grid;
  grid.group_size = 1;
  auto q = gptq(*backend, w.matrix(), gram, factor, grid, 128, nullptr);
  const auto h = damped_hessian(*backend, gram, factor);
  const auto before = row_errors(*backend, values, h, q);
  refine(*backend, w.matrix(), gram, factor, {false, true, 0}, q);
  const auto after = row_errors(*backend, values, h, q);
  for (std::size_t n = 0; n < after.size(); ++n) EXPECT_LT(after[n], before[n]) << n;
}

// Wide and tall enough that every product is cut into several tiles.
TEST(RefineThreads, SameBytesForAnyNumber) {
  const std::int64_t width = 640;
  const std::vector<float> w = heavy_weights(300, width, 3);
  const std::vector<float> x = correlated_inputs(600, width, 4);
  std::vector<std::int8_t> codes;
  std::vector<float> scales;
  for (const std::string name : {"cpu1", "cpu2", "cpu7"}) {
    const auto backend = make_backend(name);
    const tensor::Tensor device = upload(*backend, w, width);
    const stats::Gram gram = gram_of(*backend, x, width);
    const Factor factor = factor_gram(*backend, gram, {});
    compute::GridArgs grid;
    grid.group_size = 32;
    const auto q =
        gptq(*backend, device.matrix(), gram, factor, grid, 128, nullptr, {true, true, 2});
    if (codes.empty()) {
      codes = codes_of(*backend, q.codes);
      scales = tensor::to_f32_vector(q.scales.view());
    }
    EXPECT_EQ(codes, codes_of(*backend, q.codes)) << name;
    EXPECT_EQ(scales, tensor::to_f32_vector(q.scales.view())) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, Refine, ::testing::Values("reference", "cpu2"));

}  // namespace
}  // namespace whit::quant
