#ifdef WHIT_WITH_CUDA
#include "compute/cuda/libraries.h"
#endif
#include "compute/support.h"

// What a GPU computes otherwise than the contract's fp32, and sizes at which it changes its way.
namespace whit::compute::testing {
namespace {

#ifdef WHIT_WITH_CUDA
TEST(CudaLibraries, HaveEveryFunction) {
  EXPECT_NO_THROW(cuda::open_libraries());
}
#endif

class OnGpu : public ::testing::TestWithParam<Precision> {
 protected:
  void SetUp() override {
    if (cuda_devices().empty()) GTEST_SKIP() << "no CUDA device";
    backend = make_mirrored(make_cuda_backend(0, GetParam()));
  }
  bool bf16() const { return GetParam() == Precision::kBF16; }
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Backend> oracle = make_cpu_backend(0);
};
INSTANTIATE_TEST_SUITE_P(Cuda, OnGpu, ::testing::Values(Precision::kF32, Precision::kBF16),
                         [](const auto& param) {
                           return param.param == Precision::kF32 ? "f32" : "bf16";
                         });

// |a - b| / |b| in Frobenius norms.
double distance(const Tensor& a, const Tensor& b) {
  double difference = 0;
  double size = 0;
  for (std::int64_t i = 0; i < a.elements(); ++i) {
    const double x = static_cast<double>(a.as<float>()[i]);
    const double y = static_cast<double>(b.as<float>()[i]);
    difference += (x - y) * (x - y);
    size += y * y;
  }
  return std::sqrt(difference / size);
}

Tensor bf16_valued(Tensor x) {
  for (std::int64_t i = 0; i < x.elements(); ++i)
    x.as<float>()[i] = numeric::round_to_bf16(x.as<float>()[i]);
  return x;
}

void expect_symmetric(const Tensor& g) {
  const std::int64_t size = g.shape()[0];
  for (std::int64_t i = 0; i < size; ++i)
    for (std::int64_t j = 0; j < i; ++j)
      ASSERT_EQ(g.as<float>()[i * size + j], g.as<float>()[j * size + i]) << i << ", " << j;
}

TEST_P(OnGpu, LargeGrams) {
  for (const auto& [rows, cols] :
       {std::pair<std::int64_t, std::int64_t>{1024, 256}, {3000, 384}, {2049, 520}, {1500, 1000}}) {
    SCOPED_TRACE(::testing::Message() << rows << "x" << cols);
    const Tensor x = bf16_valued(random_f32({rows, cols}, 1));
    Tensor g = random_spd(cols, 2);
    Tensor expected = clone(g);
    backend->linalg().gram(x.matrix(), {}, g.matrix());
    oracle->linalg().gram(x.matrix(), {}, expected.matrix());
    EXPECT_LE(distance(g, expected), 3e-6);
    expect_symmetric(g);
  }
}

TEST_P(OnGpu, LargeGramsOfInputsBeyondBf16) {
  const Tensor x = random_f32({2100, 512}, 3);
  const Tensor w = absolute(random_f32({2100}, 4));
  const std::span<const float> weights(w.as<float>(), 2100);
  Tensor g({512, 512}, Dtype::kF32), expected({512, 512}, Dtype::kF32);
  backend->linalg().gram(x.matrix(), weights, g.matrix());
  oracle->linalg().gram(x.matrix(), weights, expected.matrix());
  EXPECT_LE(distance(g, expected), bf16() ? 0x1p-8 : 1e-5);  // two factors, 2^-9 each
  expect_symmetric(g);
}

TEST_P(OnGpu, GramsRepeat) {
  const Tensor x = random_f32({5000, 640}, 5);
  Tensor first({640, 640}, Dtype::kF32), second({640, 640}, Dtype::kF32);
  backend->linalg().gram(x.matrix(), {}, first.matrix());
  backend->linalg().gram(x.matrix(), {}, second.matrix());
  expect_same_bytes(first, second);
}

TEST_P(OnGpu, LargeProducts) {
  const Tensor x = random_f32({700, 900}, 6);
  const Tensor w = random_f32({800, 900}, 7);
  const Tensor bias = random_f32({800}, 8);
  Tensor y({700, 800}, Dtype::kF32), expected({700, 800}, Dtype::kF32);
  backend->linalg().linear(x.matrix(), w.matrix(), bias.as<float>(), y.matrix());
  oracle->linalg().linear(x.matrix(), w.matrix(), bias.as<float>(), expected.matrix());
  EXPECT_LE(distance(y, expected), bf16() ? 5e-3 : 1e-5);
  // gemm is fp32's equal under both.
  backend->linalg().gemm(0.5F, x.matrix(), Transpose::kNo, w.matrix(), Transpose::kYes, 2.0F,
                         y.matrix());
  oracle->linalg().gemm(0.5F, x.matrix(), Transpose::kNo, w.matrix(), Transpose::kYes, 2.0F,
                        expected.matrix());
  EXPECT_LE(distance(y, expected), bf16() ? 5e-3 : 1e-5);
}

TEST_P(OnGpu, LargeFactors) {
  const Tensor h = random_spd(1300, 9);
  Tensor u = clone(h), expected = clone(h);
  const auto d = backend->solve().factor_udu(u.matrix());
  const auto d_expected = oracle->solve().factor_udu(expected.matrix());
  ASSERT_TRUE(d && d_expected);
  EXPECT_LE(distance(u, expected), 1e-4);
}

struct AttentionCase {
  std::int64_t queries, keys, heads, kv_heads, k_dim, shared_dim, v_dim, window;
  float softcap;
};

TEST_P(OnGpu, AttentionOfManyShapes) {
  for (const AttentionCase& c : {AttentionCase{300, 300, 4, 2, 64, 0, 64, 0, 0},
                                 {129, 200, 4, 4, 128, 64, 128, 0, 0},
                                 {70, 70, 6, 2, 80, 0, 72, 33, 0},
                                 {200, 200, 2, 1, 37, 0, 29, 0, 20},
                                 {64, 64, 2, 2, 250, 0, 250, 0, 0},
                                 {1, 77, 8, 2, 96, 0, 96, 16, 0}}) {
    SCOPED_TRACE(::testing::Message() << c.queries << " of " << c.keys << ", " << c.k_dim);
    const std::int64_t q_dim = c.k_dim + c.shared_dim;
    const Tensor q = random_f32({c.queries, c.heads * q_dim}, 10);
    const Tensor kv = random_f32({c.keys, c.kv_heads * (c.k_dim + c.v_dim)}, 11);
    const Tensor shared = random_f32({c.keys, std::max<std::int64_t>(c.shared_dim, 1)}, 12);
    AttentionArgs args;
    args.heads = c.heads;
    args.kv_heads = c.kv_heads;
    args.q = {q.matrix(), 0, q_dim, q_dim};
    args.k = {kv.matrix(), 0, c.k_dim + c.v_dim, c.k_dim};
    args.v = {kv.matrix(), c.k_dim, c.k_dim + c.v_dim, c.v_dim};
    if (c.shared_dim > 0) args.k_shared = HeadView{shared.matrix(), 0, 0, c.shared_dim};
    args.scale = 1.0F / std::sqrt(static_cast<float>(q_dim));
    args.window = c.window;
    args.softcap = c.softcap;
    Tensor out({c.queries, c.heads * c.v_dim}, Dtype::kF32);
    Tensor expected({c.queries, c.heads * c.v_dim}, Dtype::kF32);
    backend->neural().attention(args, out.matrix());
    make_reference_backend()->neural().attention(args, expected.matrix());
    EXPECT_LE(distance(out, expected), bf16() ? 1e-2 : 1e-5);
  }
}

TEST_P(OnGpu, WideSweepsFollowTheirOwnCodes) {
  // More columns than one launch takes.
  const std::int64_t rows = 40;
  const std::int64_t cols = 300;
  const Tensor t = random_f32({rows, cols}, 13);
  Tensor u = random_f32({cols, cols}, 14, 0.02F);
  for (std::int64_t i = 0; i < cols; ++i)
    for (std::int64_t j = 0; j <= i; ++j) u.as<float>()[i * cols + j] = i == j ? 1.0F : 0.0F;
  Tensor scales({rows, 1}, Dtype::kF32);
  backend->memory().fill(scales.matrix(), 0.2F);
  const std::vector<std::int32_t> groups(static_cast<std::size_t>(cols), 0);
  SweepArgs args;
  args.bits = 4;
  args.u = u.matrix();
  args.scales = scales.matrix();
  args.column_group = groups;
  Tensor codes({rows, cols}, Dtype::kI8), expected({rows, cols}, Dtype::kI8);
  Tensor error({rows, cols}, Dtype::kF32), lost({rows, cols}, Dtype::kF32);
  backend->codec().sweep_block(args, t.matrix(), t.matrix(), codes.matrix(), error.matrix());
  oracle->codec().sweep_block(args, t.matrix(), t.matrix(), expected.matrix(), lost.matrix());
  int different = 0;
  for (std::int64_t i = 0; i < rows * cols; ++i)
    different += codes.as<std::int8_t>()[i] != expected.as<std::int8_t>()[i] ? 1 : 0;
  EXPECT_LE(different, 12);
}

// Enough centroids for lists around guesses, and vectors for many tiles of one guess.
TEST(OnGpuVectors, FindTheNearestOfManyFromAnyGuess) {
  if (cuda_devices().empty()) GTEST_SKIP() << "no CUDA device";
  const auto backend = make_mirrored(make_cuda_backend(0, Precision::kF32));
  const auto oracle = make_cpu_backend(0);
  struct Case {
    std::int64_t vectors, length, centroids;
    float offset;
  };
  for (const Case& c : {Case{40000, 8, 6000, 0},
                        {30000, 4, 2049, 0},
                        {20000, 6, 9000, 3},
                        {9000, 12, 5000, 0},
                        {5000, 16, 4097, 0},
                        {3000, 20, 3000, 0},
                        {2000, 32, 2500, 0},
                        {300, 40, 500, 0},
                        {9000, 8, 3000, 500}}) {
    SCOPED_TRACE(::testing::Message() << c.vectors << " of " << c.length << " + " << c.offset);
    Tensor x = random_f32({c.vectors, c.length}, 20);
    for (std::int64_t i = 0; i < x.elements(); ++i) x.as<float>()[i] += c.offset;
    // Vectors themselves, the last two of them the same, and one centroid for a crowd.
    Tensor centroids({c.centroids, c.length}, Dtype::kF32);
    const std::int64_t copied = (c.centroids < c.vectors ? c.centroids : c.vectors) - 1;
    std::copy_n(x.as<float>(), copied * c.length, centroids.as<float>());
    for (std::int64_t i = copied; i < c.centroids; ++i)
      std::copy_n(x.as<float>() + (copied - 1) * c.length, c.length,
                  centroids.as<float>() + i * c.length);
    for (std::int64_t i = 0; i < c.vectors / 4; ++i)
      x.as<float>()[(c.vectors - 1 - i) * c.length] = 60.0F + c.offset;
    const auto count = static_cast<std::size_t>(c.vectors);
    std::vector<std::int32_t> expected(count, -1);
    std::vector<double> expected_squares(count);
    oracle->vectors().nearest(x.matrix(), centroids.matrix(), expected, expected_squares);
    std::vector<std::int32_t> labels(count, -1);
    for (int guess = 0; guess < 3;
         ++guess) {  // none, right ones, and wrong ones of which some are none
      std::vector<double> squares(count, -1);
      for (std::size_t i = 0; guess == 2 && i < count; ++i)
        labels[i] = static_cast<std::int32_t>(i * 31 % (count / 2)) - 2;
      backend->vectors().nearest(x.matrix(), centroids.matrix(), labels, squares);
      EXPECT_EQ(labels, expected) << guess;
      EXPECT_EQ(squares, expected_squares) << guess;
    }
    EXPECT_EQ(backend->vectors().weighted_sums(x.matrix(), {}, labels, c.centroids),
              oracle->vectors().weighted_sums(x.matrix(), {}, labels, c.centroids));
  }
}

}  // namespace
}  // namespace whit::compute::testing
