#include "quant/vptq.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "quant/coded_columns.h"
#include "quant/samples.h"

namespace whit::quant {
namespace {

using namespace testing;
using oracle::Matrix;
using tensor::Tensor;

std::vector<float> host(compute::Backend& backend, const Tensor& t) {
  return tensor::to_f32_vector(backend.memory().download(t.view()).view());
}

// The worked example: a Hessian of three columns, a weight in processing order, three centroids and
// two residuals for chunks of two rows.
struct WorkedPass {
  std::unique_ptr<compute::Backend> backend = make_backend("cpu2");
  stats::Gram gram{
      *backend,
      upload(*backend,
             {0.61F, 0, 0.2F, 0, 1.076666667F, -0.333333333F, 0.2F, -0.333333333F, 1.343333333F},
             3),
      2};
  // 0.01 of the mean diagonal 1.01, VPTQ's second damping.
  Factor factor = factor_gram(*backend, gram, {ColumnOrder::kActivation, 0.01});
  Tensor w = upload(
      *backend, {0.9F, -0.2F, 0.4F, 1.1F, 0.3F, -0.5F, -0.8F, 0.6F, 0.1F, -1.2F, 0.7F, 0.2F}, 3);
  Tensor error = backend->memory().allocate({4, 3}, tensor::Dtype::kF32);
  Tensor rounded = backend->memory().allocate({4, 3}, tensor::Dtype::kF32);
  std::vector<CodedColumns> parts;

  WorkedPass() {
    scheme::VectorLayout layout;
    layout.length = 2;
    layout.centroids = 3;
    parts = cut_columns(*backend, layout, 4, 3);
    parts[0].centroids = upload(*backend, {1, 1, -1, -1, 0, 0.25F}, 2);
  }
  void run() {
    VectorSweep{*backend, w.matrix(), 128, 1}.run(factor, parts, error.matrix(), rounded.matrix());
  }
  double damped() const {
    const auto off = host(*backend, rounded);
    double sum = 0;
    for (std::size_t i = 0; i < off.size(); ++i)
      sum += factor.pivots[i % 3] * static_cast<double>(off[i]) * static_cast<double>(off[i]);
    return sum;
  }
};

void expect_near(const std::vector<float>& actual, const std::vector<double>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual[i], expected[i], 2e-7);
}

std::vector<std::int32_t> indices_of(const Tensor& t) {
  return {t.as<std::int32_t>(), t.as<std::int32_t>() + t.elements()};
}

TEST(VptqPass, MainCodesAsWorkedOut) {
  WorkedPass p;
  EXPECT_EQ(p.factor.order, (std::vector<std::int32_t>{2, 1, 0}));
  p.run();
  // By chunk here; by column the example's [[0,1],[2,0],[2,2]].
  EXPECT_EQ(indices_of(p.parts[0].indices), (std::vector<std::int32_t>{0, 2, 2, 1, 0, 2}));
  expect_near(host(*p.backend, p.rounded),
              {-0.1, -0.169327976, 0.367747138, 0.1, 0.019327976, -0.717747138, 0.2, -0.461344048,
               0.164505725, -0.2, -0.238655952, -0.114505725});
  EXPECT_NEAR(p.damped(), 0.871662750, 1e-6);
  const Tensor q = upload(*p.backend, {1, 0, 0, 1, 0.25F, 0.25F, -1, 1, 0, -1, 1, 0.25F}, 3);
  const stats::Gram permuted(
      *p.backend,
      upload(*p.backend,
             {1.343333333F, -0.333333333F, 0.2F, -0.333333333F, 1.076666667F, 0, 0.2F, 0, 0.61F},
             3),
      2);
  EXPECT_NEAR(proxy_error(*p.backend, p.w.matrix(), q.matrix(), permuted), 0.115949403, 1e-6);
}

TEST(VptqPass, ResidualCodesAsWorkedOut) {
  WorkedPass p;
  p.parts[0].residuals = upload(*p.backend, {0.125F, -0.125F, -0.25F, 0.5F}, 2);
  forget_codes(*p.backend, p.parts);
  p.run();
  EXPECT_EQ(indices_of(p.parts[0].indices), (std::vector<std::int32_t>{0, 2, 2, 1, 0, 2}));
  EXPECT_EQ(indices_of(p.parts[0].residual_indices), (std::vector<std::int32_t>(6, 0)));
  EXPECT_NEAR(p.damped(), 0.784652750, 1e-6);
}

TEST(VptqPass, BlocksChangeNothing) {
  WorkedPass whole;
  whole.run();
  WorkedPass pieces;
  VectorSweep{*pieces.backend, pieces.w.matrix(), 1, 1}.run(
      pieces.factor, pieces.parts, pieces.error.matrix(), pieces.rounded.matrix());
  EXPECT_EQ(indices_of(whole.parts[0].indices), indices_of(pieces.parts[0].indices));
}

TEST(VptqPass, ProxyErrorAsWorkedOut) {
  const auto backend = make_backend("cpu2");
  const stats::Gram gram(*backend, upload(*backend, {2, 0.5F, 0.5F, 1}, 2), 2);
  EXPECT_NEAR(proxy_error(*backend, upload(*backend, {1, 2, -1, 0.5F, 0, 3}, 2).matrix(),
                          upload(*backend, {1.5F, 2, -1, 0, 0.25F, 2.5F}, 2).matrix(), gram),
              0.053333333, 1e-7);
}

// One layer: heavy-tailed weights whose columns differ in size, correlated inputs.
struct Layer {
  std::int64_t rows = 60, cols = 48;
  std::vector<float> w, x;
  std::unique_ptr<compute::Backend> backend;
  std::optional<stats::Gram> gram;

  explicit Layer(const std::string& name = "cpu2") : backend(make_backend(name)) {
    w = heavy_weights(rows, cols, 1);
    for (std::size_t i = 0; i < w.size(); ++i)
      w[i] = w[i] * (1 + static_cast<float>(i % 48 % 5)) + 0.01F * static_cast<float>(i % 48 % 3);
    x = correlated_inputs(600, cols, 2);
    gram.emplace(gram_of(*backend, x, cols));
  }
  scheme::VectorCodes quantize(const VptqArgs& args, VptqReport* report) const {
    return vptq(*backend, upload(*backend, w, cols).matrix(), *gram, args, report);
  }
};

VptqArgs args_of(std::int64_t length, std::int64_t centroids, std::int64_t residuals) {
  VptqArgs args;
  args.layout.length = length;
  args.layout.centroids = centroids;
  args.layout.residuals = residuals;
  args.layout.normed = true;
  args.rel_damp = 0.02;
  args.block_size = 16;
  args.kmeans.iterations = 30;
  return args;
}

// The released equations alone: the norm does not reach H, one centroid is tried, nothing follows.
VptqArgs as_released(VptqArgs args) {
  args.fold_norm = false;
  args.beam = 1;
  args.rounds = 0;
  return args;
}

double relative_error(const Layer& layer, const scheme::VectorCodes& codes) {
  const Tensor w_hat = scheme::decode_matrix(codes);
  const Matrix values(w_hat.as<float>(), w_hat.as<float>() + w_hat.elements());
  return oracle::proxy_error(layer.w, values, oracle::hessian(layer.x, layer.cols), layer.cols);
}

// GPTQ's columns in double precision with the inverse of H written out, rounding every chunk to the
// nearest pair of entries: VPTQ's pass from its equations.
struct PassOracle {
  std::int64_t rows, cols;
  Matrix inverse_factor;  // upper, UᵀU = H^-1

  PassOracle(Matrix h, std::int64_t n, std::int64_t m, double damping) : rows(n), cols(m) {
    double mean = 0;
    for (std::int64_t k = 0; k < cols; ++k) mean += at(h, k, k) / static_cast<double>(cols);
    for (std::int64_t k = 0; k < cols; ++k) at(h, k, k) += damping * mean;
    Matrix inverse(h.size(), 0.0);
    for (std::int64_t k = 0; k < cols; ++k) at(inverse, k, k) = 1;
    for (std::int64_t k = 0; k < cols; ++k) {  // Gauss-Jordan; H is positive definite
      const double pivot = at(h, k, k);
      for (std::int64_t j = 0; j < cols; ++j) {
        at(h, k, j) /= pivot;
        at(inverse, k, j) /= pivot;
      }
      for (std::int64_t i = 0; i < cols; ++i) {
        const double factor = at(h, i, k);
        for (std::int64_t j = 0; i != k && j < cols; ++j) {
          at(h, i, j) -= factor * at(h, k, j);
          at(inverse, i, j) -= factor * at(inverse, k, j);
        }
      }
    }
    inverse_factor.assign(inverse.size(), 0.0);
    for (std::int64_t i = 0; i < cols; ++i)
      for (std::int64_t j = i; j < cols; ++j) {
        double rest = at(inverse, i, j);
        for (std::int64_t k = 0; k < i; ++k)
          rest -= at(inverse_factor, k, i) * at(inverse_factor, k, j);
        at(inverse_factor, i, j) = i == j ? std::sqrt(rest) : rest / at(inverse_factor, i, i);
      }
  }
  double& at(Matrix& m, std::int64_t i, std::int64_t j) const {
    return m[static_cast<std::size_t>(i * cols + j)];
  }

  // Q of a weight in processing order.
  Matrix run(Matrix w, const scheme::VectorCodes& books) {
    const std::int64_t v = books.layout.length;
    Matrix q(w.size(), 0.0);
    for (std::int64_t k = 0; k < cols; ++k)
      for (std::int64_t p = 0; p < rows / v; ++p) {
        double best = std::numeric_limits<double>::infinity();
        const float* c = nullptr;
        for (std::int64_t e = 0; e < books.layout.centroids; ++e)
          pick(w, books.centroids.as<float>() + e * v, nullptr, {k, p, v}, best, c);
        const float* r = nullptr;
        best = std::numeric_limits<double>::infinity();
        for (std::int64_t e = 0; e < books.layout.residuals; ++e)
          pick(w, books.residuals.as<float>() + e * v, c, {k, p, v}, best, r);
        for (std::int64_t t = 0; t < v; ++t) {
          const std::int64_t row = p * v + t;
          at(q, row, k) =
              static_cast<double>(c[t]) + (r == nullptr ? 0 : static_cast<double>(r[t]));
          const double e = (at(w, row, k) - at(q, row, k)) / at(inverse_factor, k, k);
          for (std::int64_t j = k + 1; j < cols; ++j) at(w, row, j) -= e * at(inverse_factor, k, j);
        }
      }
    return q;
  }

 private:
  struct Chunk {
    std::int64_t column, index, length;
  };
  void pick(Matrix& w, const float* entry, const float* first, Chunk chunk, double& best,
            const float*& chosen) const {
    double sum = 0;
    for (std::int64_t t = 0; t < chunk.length; ++t) {
      const double from = first == nullptr ? 0 : static_cast<double>(first[t]);
      sum += std::pow(at(w, chunk.index * chunk.length + t, chunk.column) - from -
                          static_cast<double>(entry[t]),
                      2);
    }
    if (sum >= best) return;
    best = sum;
    chosen = entry;
  }
};

TEST(Vptq, FollowsTheReleasedEquations) {
  const Layer layer;
  for (const std::int64_t residuals : {std::int64_t{0}, std::int64_t{8}}) {
    VptqArgs args = as_released(args_of(4, 32, residuals));
    args.permute = false;
    args.layout.normed = false;
    VptqReport report;
    const auto codes = layer.quantize(args, &report);
    PassOracle oracle(oracle::hessian(layer.x, layer.cols), layer.rows, layer.cols, args.rel_damp);
    const Matrix expected = oracle.run(Matrix(layer.w.begin(), layer.w.end()), codes);
    const Tensor q = scheme::decode_matrix(codes);
    std::int64_t equal = 0;
    for (std::size_t i = 0; i < expected.size(); ++i)
      equal += std::abs(expected[i] - static_cast<double>(q.as<float>()[i])) < 1e-6 ? 1 : 0;
    // Single precision may decide a near tie otherwise, and everything after it in its chunk.
    EXPECT_GT(equal, static_cast<std::int64_t>(expected.size()) * 95 / 100);
    const double theirs =
        oracle::proxy_error(layer.w, expected, oracle::hessian(layer.x, layer.cols), layer.cols);
    EXPECT_NEAR(report.proxy_error, theirs, 0.01 * theirs);
  }
}

TEST(Vptq, ReportsWhatTheDecodedWeightLoses) {
  const Layer layer;
  for (const bool folded : {true, false})
    for (const int rounds : {0, 2}) {
      VptqArgs args = args_of(4, 32, 8);
      args.fold_norm = folded;
      args.rounds = rounds;
      VptqReport report;
      const double lost = relative_error(layer, layer.quantize(args, &report));
      EXPECT_NEAR(report.proxy_error, lost, 0.01 * lost);
    }
}

TEST(Vptq, OutliersGroupsOrderAndRaggedRowsTogether) {
  Layer layer;
  layer.rows = 59;
  layer.w.resize(static_cast<std::size_t>(layer.rows * layer.cols));
  VptqArgs args = args_of(4, 16, 4);
  args.layout.groups = 2;
  args.layout.outliers = 4;
  args.layout.outlier_length = 2;
  args.layout.outlier_centroids = 32;
  VptqReport report;
  const auto codes = layer.quantize(args, &report);
  EXPECT_EQ(codes.layout.permuted, true);
  const double lost = relative_error(layer, codes);
  EXPECT_NEAR(report.proxy_error, lost, 0.01 * lost);
  EXPECT_LT(report.proxy_error, report.proxy_error_kmeans);
}

TEST(Vptq, AbsorbedOrderIsTheSameWeight) {
  const Layer layer;
  VptqArgs args = args_of(4, 32, 8);
  const auto absorbed = layer.quantize(args, nullptr);
  args.absorb = false;
  const auto kept = layer.quantize(args, nullptr);
  EXPECT_TRUE(absorbed.perm.empty());
  EXPECT_FALSE(kept.perm.empty());
  EXPECT_EQ(tensor::to_f32_vector(scheme::decode_matrix(absorbed).view()),
            tensor::to_f32_vector(scheme::decode_matrix(kept).view()));
}

TEST(Vptq, SameCodesForAnyThreads) {
  const VptqArgs args = args_of(4, 32, 8);
  const auto one = scheme::decode_matrix(Layer("cpu1").quantize(args, nullptr));
  const auto seven = scheme::decode_matrix(Layer("cpu7").quantize(args, nullptr));
  EXPECT_EQ(tensor::to_f32_vector(one.view()), tensor::to_f32_vector(seven.view()));
}

TEST(Vptq, EveryStageLosesLessThanTheOneBefore) {
  const Layer layer;
  std::vector<double> ratios;
  std::vector<std::string> names;
  const auto hear = [&](const VptqStage& stage) {
    names.emplace_back(stage.name);
    if (stage.clusters == 0) ratios.push_back(stage.ratio());
  };
  vptq(*layer.backend, upload(*layer.backend, layer.w, layer.cols).matrix(), *layer.gram,
       args_of(4, 32, 16), nullptr, hear);
  ASSERT_GE(ratios.size(), 4U);
  EXPECT_TRUE(std::is_sorted(ratios.rbegin(), ratios.rend()));
  names.resize(5);
  EXPECT_EQ(names, (std::vector<std::string>{"kmeans", "before VPTQ", "after VPTQ",
                                             "residual kmeans", "after residual VPTQ"}));
}

TEST(Vptq, LosesAFifthLessThanAsReleased) {
  const Layer layer;
  for (const std::int64_t residuals : {std::int64_t{0}, std::int64_t{16}}) {
    VptqReport released;
    VptqReport ours;
    layer.quantize(as_released(args_of(4, 32, residuals)), &released);
    layer.quantize(args_of(4, 32, residuals), &ours);
    EXPECT_LT(ours.proxy_error, 0.8 * released.proxy_error);
  }
}

TEST(Vptq, LayoutsThatDoNotFitAreRefused) {
  const auto refused = [](const scheme::VectorLayout& layout) -> std::string {
    try {
      check_layout(layout, 64, 32);
      return "";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kUsage);
      return error.subject();
    }
  };
  scheme::VectorLayout good;
  good.length = 4;
  good.centroids = 64;
  EXPECT_EQ(refused(good), "");
  auto bad = good;
  bad.centroids = 48;
  EXPECT_EQ(refused(bad), "--num-centroids");
  bad.centroids = 1024;  // 512 vectors
  EXPECT_EQ(refused(bad), "--num-centroids");
  bad = good;
  bad.residuals = 3;
  EXPECT_EQ(refused(bad), "--num-res-centroids");
  bad = good;
  bad.length = 65;
  EXPECT_EQ(refused(bad), "--vector-lens");
  bad = good;
  bad.groups = 3;
  EXPECT_EQ(refused(bad), "--group-num");
  bad = good;
  bad.outliers = 32;
  EXPECT_EQ(refused(bad), "--npercent");
}

}  // namespace
}  // namespace whit::quant
