#include "quant/kmeans.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "base/error.h"
#include "quant/samples.h"

namespace whit::quant {
namespace {

using namespace testing;
using tensor::Tensor;

// Weighted points of which one Lloyd step is worked out by hand; the third centroid stays empty.
struct SixPoints {
  std::unique_ptr<compute::Backend> backend = make_backend("cpu2");
  Tensor x = upload(*backend, {0, 0, 1, 0, 0, 1, 4, 4, 5, 4, 9, 9}, 2);
  std::vector<float> weights{1, 2, 1, 0.5F, 0.5F, 3};
  Tensor centroids = upload(*backend, {0, 0, 4, 4, 20, 20}, 2);
};

TEST(KMeans, OneStepAsWorkedOut) {
  SixPoints p;
  std::vector<std::int32_t> labels(6, -1);
  std::vector<double> squares(6);
  p.backend->vectors().nearest(p.x.matrix(), p.centroids.matrix(), labels, squares);
  EXPECT_EQ(labels, (std::vector<std::int32_t>{0, 0, 0, 1, 1, 1}));
  EXPECT_DOUBLE_EQ(move_centroids(*p.backend, p.x.matrix(), p.weights, labels, p.centroids),
                   29.390625);
  EXPECT_EQ(tensor::to_f32_vector(p.backend->memory().download(p.centroids.view()).view()),
            (std::vector<float>{0.5F, 0.25F, 7.875F, 7.75F, 20, 20}));
  p.backend->vectors().nearest(p.x.matrix(), p.centroids.matrix(), labels, squares);
  EXPECT_EQ(labels, (std::vector<std::int32_t>{0, 0, 0, 0, 1, 1}));
  double inertia = 0;
  for (std::size_t i = 0; i < 6; ++i)
    inertia += static_cast<double>(p.weights[i]) * 0.75 * squares[i];
  EXPECT_DOUBLE_EQ(inertia, 25.916015625);
}

TEST(KMeans, ATieGoesToTheLowestIndex) {
  SixPoints p;
  const Tensor x = upload(*p.backend, {2, 2}, 2);
  std::vector<std::int32_t> label{1};
  p.backend->vectors().nearest(x.matrix(), p.centroids.matrix(), label, {});
  EXPECT_EQ(label[0], 0);
}

std::vector<float> normal_values(std::size_t count) {
  std::mt19937 generator(3);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

TEST(KMeans, SameBitsForAnyThreadsAndOnTheReference) {
  const auto values = normal_values(4 * 900);
  std::vector<float> weights(900);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 0.5F + static_cast<float>(i % 5);
  for (const KMeansStart start : {KMeansStart::kSample, KMeansStart::kPlusPlus}) {
    KMeansArgs args;
    args.clusters = 40;
    args.iterations = 12;
    args.start = start;
    args.seed = 7;
    std::optional<std::vector<float>> first;
    for (const char* name : {"reference", "cpu1", "cpu2", "cpu7"}) {
      const auto backend = make_backend(name);
      const KMeans found = kmeans(*backend, upload(*backend, values, 4).matrix(), weights, args);
      const auto centroids =
          tensor::to_f32_vector(backend->memory().download(found.centroids.view()).view());
      if (!first) first = centroids;
      EXPECT_EQ(0, std::memcmp(first->data(), centroids.data(), centroids.size() * 4)) << name;
      EXPECT_GT(found.inertia, 0);
    }
  }
}

TEST(KMeans, EveryIterationHelpsAndSeedsDiffer) {
  const auto backend = make_backend("cpu2");
  const Tensor x = upload(*backend, normal_values(4 * 900), 4);
  KMeansArgs args;
  args.clusters = 32;
  args.tolerance = 0;
  double before = std::numeric_limits<double>::infinity();
  for (const std::int64_t iterations : {0, 1, 2, 4, 8, 16}) {
    args.iterations = iterations;
    const KMeans found = kmeans(*backend, x.matrix(), {}, args);
    EXPECT_LE(found.inertia, before);
    before = found.inertia;
  }
  args.seed = 1;
  EXPECT_NE(kmeans(*backend, x.matrix(), {}, args).inertia, before);
}

TEST(KMeans, AsManyClustersAsVectorsIsExactAndMoreAreRefused) {
  const auto backend = make_backend("cpu2");
  const Tensor x = upload(*backend, normal_values(2 * 16), 2);
  KMeansArgs args;
  args.clusters = 16;
  EXPECT_EQ(kmeans(*backend, x.matrix(), {}, args).inertia, 0);
  args.clusters = 17;
  try {
    kmeans(*backend, x.matrix(), {}, args);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kUsage);
    EXPECT_EQ(error.subject(), "--num-centroids");
  }
}

}  // namespace
}  // namespace whit::quant
