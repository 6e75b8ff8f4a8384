#include <numeric>

#include "compute/support.h"

namespace whit::compute::testing {
namespace {

class VectorsContract : public Contract {};
WHIT_ON_EVERY_BACKEND(VectorsContract);

struct Assigned {
  std::vector<std::int32_t> labels;
  std::vector<double> squares;
  bool operator==(const Assigned&) const = default;
};

Assigned assign(Backend& backend, const Tensor& x, const Tensor& centroids,
                std::vector<std::int32_t> guesses) {
  Assigned result{std::move(guesses), std::vector<double>(static_cast<std::size_t>(x.shape()[0]))};
  result.labels.resize(result.squares.size(), -1);
  backend.vectors().nearest(x.matrix(), centroids.matrix(), result.labels, result.squares);
  return result;
}

TEST_P(VectorsContract, FindsTheNearestWhateverTheGuess) {
  struct Case {
    std::int64_t length, centroids;
  };
  for (const auto& [length, count] :
       {Case{1, 1}, {2, 3}, {3, 17}, {4, 256}, {6, 700}, {8, 1500}, {12, 600}, {16, 520}}) {
    const Tensor x = random_f32({301, length}, 1);
    Tensor centroids = random_f32({count, length}, 2, 0.9F);
    const auto expected = assign(*oracle, x, centroids, {});
    EXPECT_EQ(assign(*backend, x, centroids, {}), expected) << length << " " << count;
    std::vector<std::int32_t> guesses(301);
    for (std::size_t i = 0; i < guesses.size(); ++i)
      guesses[i] = static_cast<std::int32_t>(i * 7) - 3;
    EXPECT_EQ(assign(*backend, x, centroids, guesses), expected) << length << " " << count;
  }
}

// Duplicates, vectors upon centroids, and offsets beside which differences nearly vanish.
TEST_P(VectorsContract, EqualDistancesGoToTheLowerIndex) {
  for (const float offset : {0.0F, 1000.0F}) {
    Tensor centroids = random_f32({1200, 8}, 3);
    for (std::int64_t i = 0; i < centroids.elements(); ++i) centroids.as<float>()[i] += offset;
    for (std::int64_t i = 600 * 8; i < 1200 * 8; ++i)
      centroids.as<float>()[i] = centroids.as<float>()[i - 600 * 8];
    Tensor x({400, 8}, Dtype::kF32);
    std::copy_n(centroids.as<float>() + 5000, 400 * 8, x.as<float>());
    const auto expected = assign(*oracle, x, centroids, {});
    EXPECT_EQ(assign(*backend, x, centroids, {}), expected) << offset;
    EXPECT_EQ(assign(*backend, x, centroids, std::vector<std::int32_t>(400, 1199)), expected);
    for (const std::int32_t label : expected.labels) EXPECT_LT(label, 600);
  }
}

TEST_P(VectorsContract, FarPointsAndNarrowClustersAreFoundToo) {
  Tensor centroids = random_f32({4096, 4}, 5, 1e-3F);
  for (std::int64_t c = 0; c < 4096; ++c) centroids.as<float>()[c * 4] += static_cast<float>(c % 7);
  const Tensor x = random_f32({200, 4}, 6, 50.0F);
  EXPECT_EQ(assign(*backend, x, centroids, {}), assign(*oracle, x, centroids, {}));
}

// Vectors near the origin, and a codebook that is told apart only by single precision.
TEST_P(VectorsContract, SmallVectorsAndCloseCentroidsAreFoundToo) {
  Tensor centroids = random_f32({5000, 8}, 11);
  for (std::int64_t i = 0; i < 2000 * 8; ++i)
    centroids.as<float>()[i] = 1.0F + 1e-5F * centroids.as<float>()[i];
  Tensor x = random_f32({600, 8}, 12);
  for (std::int64_t i = 0; i < 200 * 8; ++i) x.as<float>()[i] *= 1e-3F;
  for (std::int64_t i = 200 * 8; i < 400 * 8; ++i)
    x.as<float>()[i] = 1.0F + 1e-5F * x.as<float>()[i];
  EXPECT_EQ(assign(*backend, x, centroids, {}), assign(*oracle, x, centroids, {}));
}

TEST_P(VectorsContract, AssignmentTellsWhatIsLost) {
  const Tensor x = random_f32({1000, 6}, 9);
  const Tensor centroids = random_f32({70, 6}, 10);
  std::vector<float> weights(1000);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 0.5F + static_cast<float>(i % 7);
  const auto expected = assign(*oracle, x, centroids, {});
  for (const bool weighted : {true, false}) {
    double total = 0;
    for (std::size_t piece = 0; piece < 1000; piece += 256) {
      double sum = 0;
      for (std::size_t i = piece; i < std::min<std::size_t>(piece + 256, 1000); ++i)
        sum += (weighted ? static_cast<double>(weights[i]) : 1.0) * expected.squares[i];
      total += sum;
    }
    std::vector<std::int32_t> labels(1000, -1);
    const std::span<const float> used =
        weighted ? std::span<const float>(weights) : std::span<const float>{};
    EXPECT_EQ(backend->vectors().assign(x.matrix(), used, centroids.matrix(), labels), total);
    EXPECT_EQ(labels, expected.labels);
  }
}

TEST_P(VectorsContract, SumsAreThoseOfEveryCluster) {
  const Tensor x = random_f32({500, 45}, 7);
  std::vector<float> weights(500);
  std::vector<std::int32_t> labels(500);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    weights[i] = 0.25F + static_cast<float>(i % 9);
    labels[i] = static_cast<std::int32_t>(i * i % 70);
  }
  for (const bool weighted : {true, false}) {
    const std::span<const float> used =
        weighted ? std::span<const float>(weights) : std::span<const float>{};
    // Both add a cluster's vectors in ascending order.
    EXPECT_EQ(backend->vectors().weighted_sums(x.matrix(), used, labels, 80),
              oracle->vectors().weighted_sums(x.matrix(), used, labels, 80));
  }
}

struct VectorSweepProblem {
  Tensor t0, t, u, centroids, residuals;
  VectorSweepArgs args;
  std::int64_t chunks;

  VectorSweepProblem(std::int64_t rows, std::int64_t cols, std::int64_t length, bool pairs,
                     std::int64_t beam)
      : t0(random_f32({rows, cols}, 1)),
        t(clone(t0)),
        u(random_f32({cols, cols}, 2, 0.3F / std::sqrt(static_cast<float>(cols)))),
        centroids(random_f32({600, length}, 3)),
        residuals(random_f32({64, length}, 4, 0.3F)),
        chunks((rows + length - 1) / length) {
    const Tensor extra = random_f32({rows, cols}, 5, 0.1F);
    for (std::int64_t i = 0; i < t.elements(); ++i) t.as<float>()[i] += extra.as<float>()[i];
    args.u = u.matrix();
    args.centroids = centroids.matrix();
    if (pairs) args.residuals = residuals.matrix();
    args.beam = beam;
  }
};

double distance(const VectorSweepProblem& p, const std::vector<double>& x, std::int32_t c,
                std::int32_t r) {
  double sum = 0;
  const auto length = static_cast<std::int64_t>(x.size());
  for (std::int64_t d = 0; d < length; ++d) {
    double lost = x[static_cast<std::size_t>(d)] -
                  static_cast<double>(p.centroids.as<float>()[c * length + d]);
    if (r >= 0) lost -= static_cast<double>(p.residuals.as<float>()[r * length + d]);
    sum += lost * lost;
  }
  return sum;
}

// Every chunk must follow from its own codes: no pair of the beam may be nearer than its choice,
// but by what single precision does to the target.
void expect_nearest(const VectorSweepProblem& p, const std::vector<double>& x, std::int32_t index,
                    std::int32_t residual) {
  std::vector<std::int32_t> order(600);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](auto a, auto b) { return distance(p, x, a, -1) < distance(p, x, b, -1); });
  const double chosen = distance(p, x, index, residual);
  const bool pairs = p.args.residuals.data != nullptr;
  const auto tried = static_cast<std::size_t>(pairs ? p.args.beam : 1);
  for (std::size_t b = 0; b < tried; ++b)
    for (std::int32_t r = pairs ? 0 : -1; r < (pairs ? 64 : 0); ++r)
      EXPECT_LE(chosen, distance(p, x, order[b], r) + 1e-4);
}

TEST_P(VectorsContract, SweepFollowsTheRecurrence) {
  struct Case {
    std::int64_t rows, cols, length, beam;
    bool pairs;
  };
  for (const auto& c : {Case{1, 1, 4, 1, false},
                        {10, 7, 4, 1, false},
                        {24, 9, 8, 1, true},
                        {21, 12, 6, 5, true},
                        {19, 70, 3, 40, true}}) {
    const VectorSweepProblem p(c.rows, c.cols, c.length, c.pairs, c.beam);
    Tensor indices({p.chunks, c.cols}, Dtype::kI32);
    Tensor second({p.chunks, c.cols}, Dtype::kI32);
    Tensor error({c.rows, c.cols}, Dtype::kF32);
    for (std::int64_t i = 0; i < indices.elements(); ++i)
      indices.as<std::int32_t>()[i] = second.as<std::int32_t>()[i] = -1;
    backend->vectors().sweep(p.args, p.t0.matrix(), p.t.matrix(), indices.matrix(),
                             c.pairs ? second.matrix() : MatrixView{}, error.matrix());
    for (std::int64_t chunk = 0; chunk < p.chunks; ++chunk)
      for (std::int64_t k = 0; k < c.cols; ++k) {
        const std::int32_t index = indices.as<std::int32_t>()[chunk * c.cols + k];
        const std::int32_t residual = c.pairs ? second.as<std::int32_t>()[chunk * c.cols + k] : -1;
        std::vector<double> x(static_cast<std::size_t>(c.length), 0.0);
        for (std::int64_t d = 0; d < c.length && chunk * c.length + d < c.rows; ++d) {
          const std::int64_t n = chunk * c.length + d;
          double& target = x[static_cast<std::size_t>(d)];
          target = static_cast<double>(p.t.as<float>()[n * c.cols + k]);
          for (std::int64_t j = 0; j < k; ++j)
            target += static_cast<double>(error.as<float>()[n * c.cols + j]) *
                      static_cast<double>(p.u.as<float>()[j * c.cols + k]);
          float q = p.centroids.as<float>()[index * c.length + d];
          if (c.pairs) q += p.residuals.as<float>()[residual * c.length + d];
          EXPECT_EQ(error.as<float>()[n * c.cols + k], p.t0.as<float>()[n * c.cols + k] - q);
        }
        expect_nearest(p, x, index, residual);
      }
  }
}

// What stands in the indices is never left for something farther.
TEST_P(VectorsContract, SweepKeepsCodesThatAreNearer) {
  const VectorSweepProblem p(32, 16, 8, true, 1);
  Tensor start({p.chunks, 16}, Dtype::kI32);
  Tensor start_second({p.chunks, 16}, Dtype::kI32);
  Tensor error({32, 16}, Dtype::kF32);
  VectorSweepArgs wide = p.args;
  wide.beam = 600;
  Tensor none({16, 16}, Dtype::kF32);
  wide.u = none.matrix();
  for (std::int64_t i = 0; i < start.elements(); ++i)
    start.as<std::int32_t>()[i] = start_second.as<std::int32_t>()[i] = -1;
  backend->vectors().sweep(wide, p.t0.matrix(), p.t.matrix(), start.matrix(), start_second.matrix(),
                           error.matrix());
  Tensor again = clone(start);
  Tensor again_second = clone(start_second);
  wide.beam = 1;
  backend->vectors().sweep(wide, p.t0.matrix(), p.t.matrix(), again.matrix(), again_second.matrix(),
                           error.matrix());
  EXPECT_EQ(0, std::memcmp(again.data(), start.data(), start.bytes()));
  EXPECT_EQ(0, std::memcmp(again_second.data(), start_second.data(), start.bytes()));
}

}  // namespace
}  // namespace whit::compute::testing
