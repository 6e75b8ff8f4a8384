#include "compute/support.h"

namespace whit::compute::testing {
namespace {

struct Shapes {
  std::int64_t queries, keys, heads, kv_heads, dim, v_dim, shared, window;
  float softcap = 0;
  bool biased = false;
};

class AttentionContract : public Contract {};
WHIT_ON_EVERY_BACKEND(AttentionContract);

// Heads inside wider matrices, with odd first columns.
struct Attention {
  Tensor q, k, s, v, bias;
  AttentionArgs args;

  explicit Attention(const Shapes& c)
      : q(random_f32({c.queries, 3 + c.heads * (c.dim + c.shared + 2)}, 1)),
        k(random_f32({c.keys, 1 + c.kv_heads * (c.dim + c.v_dim)}, 2)),
        s(random_f32({c.keys, c.shared + 5}, 3)),
        v(random_f32({c.keys, c.kv_heads * c.v_dim}, 4)),
        bias(random_f32({c.heads, c.keys + 3}, 5)) {
    args.heads = c.heads;
    args.kv_heads = c.kv_heads;
    args.q = {q.matrix(), 3, c.dim + c.shared + 2, c.dim + c.shared};
    args.k = {k.matrix(), 1, c.dim + c.v_dim, c.dim};
    args.v = {v.matrix(), 0, c.v_dim, c.v_dim};
    if (c.shared > 0) args.k_shared = HeadView{s.matrix(), 5, 0, c.shared};
    args.scale = 0.3F;
    args.window = c.window;
    args.softcap = c.softcap;
    if (c.biased) args.key_bias = bias.matrix();
  }
};

TEST_P(AttentionContract, AgreesWithTheOracle) {
  const Shapes cases[] = {
      {1, 1, 1, 1, 1, 1, 0, 0},          {7, 7, 2, 1, 8, 5, 0, 0},
      {130, 130, 4, 2, 16, 16, 0, 0},    {129, 129, 3, 3, 12, 7, 6, 0},
      {5, 300, 2, 2, 8, 8, 0, 0},        {1, 600, 2, 1, 8, 8, 4, 0},
      {140, 1200, 1, 1, 4, 4, 0, 0},     {200, 200, 2, 1, 8, 8, 0, 1},
      {700, 700, 1, 1, 8, 8, 0, 33},     {3, 1100, 1, 1, 8, 8, 0, 600},
      {30, 30, 2, 1, 8, 8, 0, 0, 0.5F},  {140, 700, 2, 2, 9, 8, 3, 65, 2.0F},
      {7, 7, 3, 3, 4, 4, 0, 0, 0, true}, {130, 700, 4, 2, 8, 8, 0, 90, 0, true}};
  for (const Shapes& c : cases) {
    SCOPED_TRACE(::testing::Message()
                 << c.queries << " queries, " << c.keys << " keys, window " << c.window);
    const Attention problem(c);
    Tensor out({c.queries, c.heads * c.v_dim}, Dtype::kF32);
    Tensor expected({c.queries, c.heads * c.v_dim}, Dtype::kF32);
    backend->neural().attention(problem.args, out.matrix());
    oracle->neural().attention(problem.args, expected.matrix());
    // Scores of size s = |q||k| scale err by dim * eps * s, and so do the weights.
    Tensor bound({c.queries, c.heads * c.v_dim}, Dtype::kF32);
    std::fill_n(bound.as<float>(), bound.elements(), 4.0F);
    expect_within(out, expected, bound, static_cast<double>(c.dim + c.shared + 16) * 10 * kEps);
  }
}

// Equal scores and a bias of log(j + 1): key j weighs j + 1.
TEST_P(AttentionContract, BiasIsAddedToScaledScores) {
  Attention problem({5, 5, 2, 1, 6, 3, 0, 0, 0, true});
  std::fill_n(problem.k.as<float>(), problem.k.elements(), 0.0F);
  for (std::int64_t j = 0; j < 5; ++j) {
    problem.bias.as<float>()[j] = 0;
    problem.bias.as<float>()[problem.bias.shape()[1] + j] = std::log(static_cast<float>(j + 1));
  }
  Tensor out({5, 6}, Dtype::kF32);
  backend->neural().attention(problem.args, out.matrix());
  for (int c = 0; c < 3; ++c) {
    double even = 0, rising = 0;
    for (int j = 0; j < 5; ++j) {
      const double v = static_cast<double>(problem.v.as<float>()[3 * j + c]);
      even += v / 5.0;
      rising += v * (j + 1) / 15.0;
    }
    EXPECT_NEAR(out.as<float>()[4 * 6 + c], even, 1e-6);
    EXPECT_NEAR(out.as<float>()[4 * 6 + 3 + c], rising, 1e-6);
  }
}

TEST_P(AttentionContract, FirstTokenSeesOnlyItself) {
  const Attention problem({4, 4, 1, 1, 6, 3, 0, 0});
  Tensor out({4, 3}, Dtype::kF32);
  backend->neural().attention(problem.args, out.matrix());
  for (int c = 0; c < 3; ++c) EXPECT_EQ(out.as<float>()[c], problem.v.as<float>()[c]);
}

TEST_P(AttentionContract, LaterTokensDoNotChangeEarlierOnes) {
  Attention problem({9, 9, 2, 1, 6, 3, 0, 0});
  Tensor before({9, 6}, Dtype::kF32);
  Tensor after({9, 6}, Dtype::kF32);
  backend->neural().attention(problem.args, before.matrix());
  for (std::int64_t j = 0; j < problem.k.shape()[1]; ++j)
    problem.k.as<float>()[8 * problem.k.shape()[1] + j] = 1e6F;
  for (std::int64_t j = 0; j < problem.v.shape()[1]; ++j)
    problem.v.as<float>()[8 * problem.v.shape()[1] + j] = std::nanf("");
  // A key that is masked has weight 0, but 0 * NaN would show; so only the last row may be NaN.
  problem.args.q.data.rows = 8;
  problem.args.k.data.rows = 8;
  problem.args.v.data.rows = 8;
  backend->neural().attention(problem.args, after.matrix().rows_of(0, 8));
  for (int i = 0; i < 8 * 6; ++i) EXPECT_EQ(before.as<float>()[i], after.as<float>()[i]);
}

TEST_P(AttentionContract, ACapBoundsTheScores) {
  Attention problem({2, 2, 1, 1, 4, 3, 0, 0, 0.7F});
  problem.args.scale = 1e4F;  // scores far beyond the cap: +-0.7 each
  Tensor out({2, 3}, Dtype::kF32);
  backend->neural().attention(problem.args, out.matrix());
  const auto score = [&](std::int64_t key) {
    double sum = 0;
    for (int c = 0; c < 4; ++c)
      sum += static_cast<double>(problem.q.matrix().row<float>(1)[3 + c]) *
             static_cast<double>(problem.k.matrix().row<float>(key)[1 + c]);
    return sum > 0 ? 0.7 : -0.7;
  };
  const double first = 1 / (1 + std::exp(score(1) - score(0)));
  const float* v = problem.v.as<float>();
  for (int c = 0; c < 3; ++c)
    EXPECT_NEAR(out.as<float>()[3 + c],
                first * static_cast<double>(v[c]) + (1 - first) * static_cast<double>(v[3 + c]),
                1e-6);
}

TEST_P(AttentionContract, LargeScoresDoNotOverflow) {
  Attention problem({20, 20, 1, 1, 6, 3, 0, 0});
  problem.args.scale = 1e4F;
  Tensor out({20, 3}, Dtype::kF32);
  backend->neural().attention(problem.args, out.matrix());
  for (int i = 0; i < 60; ++i) EXPECT_TRUE(std::isfinite(out.as<float>()[i]));
}

TEST_P(AttentionContract, OneQueryOnACacheEqualsTheLastRowOfAll) {
  const Attention problem({40, 40, 4, 2, 8, 8, 4, 0});
  Tensor all({40, 32}, Dtype::kF32);
  backend->neural().attention(problem.args, all.matrix());
  AttentionArgs last = problem.args;
  last.q.data = problem.q.matrix().rows_of(39, 1);
  Tensor one({1, 32}, Dtype::kF32);
  backend->neural().attention(last, one.matrix());
  for (int i = 0; i < 32; ++i) EXPECT_NEAR(one.as<float>()[i], all.as<float>()[39 * 32 + i], 1e-5);
}

}  // namespace
}  // namespace whit::compute::testing
