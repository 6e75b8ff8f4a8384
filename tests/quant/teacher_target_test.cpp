#include "quant/teacher_target.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "stats/statistic.h"

namespace whit::quant {
namespace {

using tensor::Tensor;

Tensor random_matrix(std::int64_t rows, std::int64_t cols, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(rows * cols));
  for (float& value : values) value = normal(engine);
  return tensor::make_f32({rows, cols}, values);
}

// The sum over tokens of |W x_t + r - V x_s|², r a residual difference.
double loss(const Tensor& w, const Tensor& xt, const Tensor& residual, const Tensor& v,
            const Tensor& xs) {
  double sum = 0;
  for (std::int64_t t = 0; t < xs.shape()[0]; ++t)
    for (std::int64_t n = 0; n < w.shape()[0]; ++n) {
      double gap = residual.as<float>()[t * w.shape()[0] + n];
      for (std::int64_t k = 0; k < w.shape()[1]; ++k)
        gap += static_cast<double>(w.as<float>()[n * w.shape()[1] + k]) *
                   xt.as<float>()[t * w.shape()[1] + k] -
               static_cast<double>(v.as<float>()[n * w.shape()[1] + k]) *
                   xs.as<float>()[t * w.shape()[1] + k];
      sum += gap * gap;
    }
  return sum;
}

class TeacherTarget : public ::testing::TestWithParam<bool> {
 protected:
  std::unique_ptr<compute::Backend> backend_ =
      GetParam() ? compute::make_cpu_backend(2) : compute::make_reference_backend();
};

TEST_P(TeacherTarget, IsTheLeastSquaresWeight) {
  constexpr std::int64_t kRows = 5, kCols = 12, kCount = 90;
  const Tensor w = random_matrix(kRows, kCols, 1);
  const Tensor xt = random_matrix(kCount, kCols, 2);
  Tensor xs = random_matrix(kCount, kCols, 3);
  Tensor difference({kCount, kCols}, tensor::Dtype::kF32);
  for (std::int64_t i = 0; i < xs.elements(); ++i) {
    xs.as<float>()[i] = xt.as<float>()[i] + 0.3F * xs.as<float>()[i];
    difference.as<float>()[i] = xt.as<float>()[i] - xs.as<float>()[i];
  }
  Tensor residual = random_matrix(kCount, kRows, 4);
  for (std::int64_t i = 0; i < residual.elements(); ++i) residual.as<float>()[i] *= 0.2F;

  stats::Gram gram(*backend_, kCols);
  gram.observe(xs.matrix());
  gram.freeze();
  stats::CrossGram input(*backend_, kCols, kCols), stream(*backend_, kRows, kCols);
  input.observe(difference.matrix(), xs.matrix());
  stream.observe(residual.matrix(), xs.matrix());
  const Factor factor = factor_gram(*backend_, gram, {ColumnOrder::kActivation, 1e-7});
  const Tensor v = teacher_target(*backend_, w.matrix(), factor, {&input, 1.0, &stream, 1.0});

  const double best = loss(w, xt, residual, v, xs);
  EXPECT_LT(best, loss(w, xt, residual, w, xs));
  // A least: every direction away from it is worse.
  for (unsigned seed = 10; seed < 30; ++seed) {
    const Tensor step = random_matrix(kRows, kCols, seed);
    for (const float size : {0.02F, -0.02F}) {
      Tensor moved({kRows, kCols}, tensor::Dtype::kF32);
      for (std::int64_t i = 0; i < v.elements(); ++i)
        moved.as<float>()[i] = v.as<float>()[i] + size * step.as<float>()[i];
      EXPECT_GT(loss(w, xt, residual, moved, xs), best);
    }
  }
}

TEST_P(TeacherTarget, EqualStreamsLeaveTheWeight) {
  const Tensor w = random_matrix(4, 8, 1);
  const Tensor x = random_matrix(40, 8, 2);
  const Tensor zero({40, 8}, tensor::Dtype::kF32);
  stats::Gram gram(*backend_, 8);
  gram.observe(x.matrix());
  gram.freeze();
  stats::CrossGram input(*backend_, 8, 8);
  input.observe(zero.matrix(), x.matrix());
  const Factor factor = factor_gram(*backend_, gram, {});
  const Tensor v = teacher_target(*backend_, w.matrix(), factor, {&input, 1.0, nullptr, 1.0});
  for (std::int64_t i = 0; i < w.elements(); ++i) EXPECT_EQ(v.as<float>()[i], w.as<float>()[i]);
}

INSTANTIATE_TEST_SUITE_P(Backends, TeacherTarget, ::testing::Bool(),
                         [](const auto& name) { return name.param ? "cpu" : "reference"; });

}  // namespace
}  // namespace whit::quant
