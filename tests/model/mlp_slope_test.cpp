// The slope of an MLP half against what the half itself does to rows that are moved a little.
#include "model/mlp_slope.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/support.h"

namespace whit::model::testing {
namespace {

using Rows = std::vector<std::vector<double>>;

std::vector<double> values_of(compute::Backend& backend, const WeightHandle& weight) {
  const auto values = tensor::to_f32_vector(backend.memory().download(weight->view()).view());
  return {values.begin(), values.end()};
}

// The half in plain loops, in double precision.
class PlainHalf {
 public:
  explicit PlainHalf(Model& model, const LayerSpec& layer) : eps_(layer.mlp_norm->eps) {
    const auto& mlp = std::get<MlpSpec>(layer.mlp);
    hidden_ = static_cast<std::size_t>(mlp.down.out_features);
    mids_ = static_cast<std::size_t>(mlp.down.in_features);
    for (const LinearSpec& linear : mlp.in) {
      const auto part = values_of(model.backend, model.weights->linear(linear));
      in_.insert(in_.end(), part.begin(), part.end());
    }
    down_ = values_of(model.backend, model.weights->linear(mlp.down));
    norm_ = values_of(model.backend, model.weights->vector(layer.mlp_norm->weight));
  }

  std::vector<double> operator()(const std::vector<double>& h) const {
    double square = 0;
    for (const double value : h) square += value * value;
    const double rms = std::sqrt(square / static_cast<double>(hidden_) + static_cast<double>(eps_));
    std::vector<double> out = h;
    for (std::size_t f = 0; f < mids_; ++f) {
      double gate = 0, up = 0;
      for (std::size_t k = 0; k < hidden_; ++k) {
        const double x = h[k] / rms * norm_[k];
        gate += in_[f * hidden_ + k] * x;
        up += in_[(mids_ + f) * hidden_ + k] * x;
      }
      const double mid = gate / (1 + std::exp(-gate)) * up;
      for (std::size_t n = 0; n < hidden_; ++n) out[n] += down_[n * mids_ + f] * mid;
    }
    return out;
  }

 private:
  std::size_t hidden_ = 0, mids_ = 0;
  float eps_;
  std::vector<double> in_, down_, norm_;
};

Rows random_rows(std::size_t rows, std::size_t cols, std::uint32_t state, double size) {
  Rows result(rows, std::vector<double>(cols));
  for (auto& row : result)
    for (double& value : row) {
      state = state * 1664525 + 1013904223;
      value = size * (static_cast<double>(state >> 8) / 8388608.0 - 1);
    }
  return result;
}

tensor::Tensor upload(compute::Backend& backend, const Rows& rows) {
  tensor::Tensor host(
      {static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(rows.front().size())},
      tensor::Dtype::kF32);
  float* to = host.as<float>();
  for (const auto& row : rows)
    for (const double value : row) *to++ = static_cast<float>(value);
  return backend.memory().upload(host.view());
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

class MlpSlopes : public ::testing::TestWithParam<std::string> {
 protected:
  using Product = void (MlpSlope::*)(tensor::ConstMatrixView, tensor::MatrixView) const;
  Rows product(const MlpSlope& slope, Product of, const Rows& rows) {
    const tensor::Tensor v = upload(*backend_, rows);
    tensor::Tensor out = backend_->memory().allocate(v.shape(), tensor::Dtype::kF32);
    (slope.*of)(v.matrix(), out.matrix());
    const auto values = tensor::to_f32_vector(backend_->memory().download(out.view()).view());
    Rows result;
    const std::size_t cols = rows.front().size();
    for (std::size_t n = 0; n < rows.size(); ++n)
      result.emplace_back(values.begin() + static_cast<std::ptrdiff_t>(n * cols),
                          values.begin() + static_cast<std::ptrdiff_t>((n + 1) * cols));
    return result;
  }

  std::unique_ptr<compute::Backend> backend_ = make_backend(GetParam());
};

TEST_P(MlpSlopes, FollowsTheHalfAndItsTransposeIsOne) {
  Model model(kDemo, *backend_);
  const LayerSpec& layer = model.spec.layers.front();
  ASSERT_TRUE(MlpSlope::knows(layer));
  const auto hidden = static_cast<std::size_t>(model.spec.hidden);
  const PlainHalf half(model, layer);
  const Rows h = random_rows(3, hidden, 1, 0.1);
  const Rows v = random_rows(3, hidden, 2, 1.0);
  const Rows w = random_rows(3, hidden, 3, 1.0);
  MlpSlope slope(*backend_, *model.weights, layer);
  slope.set(upload(*backend_, random_rows(5, hidden, 9, 1.0)));  // rows of another number, first
  slope.set(upload(*backend_, h));
  const Rows moved = product(slope, &MlpSlope::forward, v);
  const Rows back = product(slope, &MlpSlope::back, w);
  for (std::size_t n = 0; n < h.size(); ++n) {
    constexpr double kStep = 1e-5;
    std::vector<double> above = h[n], below = h[n];
    for (std::size_t k = 0; k < hidden; ++k) {
      above[k] += kStep * v[n][k];
      below[k] -= kStep * v[n][k];
    }
    const auto high = half(above);
    const auto low = half(below);
    double wrong = 0, size = 0;
    for (std::size_t k = 0; k < hidden; ++k) {
      const double expected = (high[k] - low[k]) / (2 * kStep);
      wrong += (moved[n][k] - expected) * (moved[n][k] - expected);
      size += expected * expected;
    }
    EXPECT_LT(std::sqrt(wrong / size), 1e-3) << n;
    EXPECT_GT(size, 4 * dot(v[n], v[n])) << "the half does something";
    EXPECT_NEAR(dot(moved[n], w[n]), dot(v[n], back[n]), 1e-4 * std::sqrt(size * dot(w[n], w[n])));
  }
}

TEST_P(MlpSlopes, KnowsDenseGatedHalvesAlone) {
  Model model(kDemo, *backend_);
  LayerSpec layer = model.spec.layers.front();
  EXPECT_TRUE(MlpSlope::knows(layer));
  EXPECT_FALSE(MlpSlope::knows(model.spec.layers[1])) << "a mixture";
  const auto refused = [&](const auto& change) {
    LayerSpec other = layer;
    change(other);
    EXPECT_FALSE(MlpSlope::knows(other));
    EXPECT_THROW(MlpSlope(*backend_, *model.weights, other), base::Error);
  };
  refused([](LayerSpec& other) { other.parallel = true; });
  refused([](LayerSpec& other) { other.mlp_norm.reset(); });
  refused([](LayerSpec& other) { other.residual_scale = 0.5F; });
  refused([](LayerSpec& other) { other.mlp_out_norm = other.mlp_norm; });
  refused([](LayerSpec& other) { other.mlp_norm->kind = NormKind::kLayer; });
  refused([](LayerSpec& other) { other.norm_place = NormPlace::kSum; });
  refused([](LayerSpec& other) { std::get<MlpSpec>(other.mlp).gated = false; });
  refused([](LayerSpec& other) { std::get<MlpSpec>(other.mlp).in.front().bias = true; });
}

INSTANTIATE_TEST_SUITE_P(Backends, MlpSlopes, ::testing::Values("reference", "cpu"));

}  // namespace
}  // namespace whit::model::testing
