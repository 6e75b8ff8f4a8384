// Gradients against differences of the functions whose gradients they are.
#include <algorithm>
#include <array>

#include "compute/support.h"

namespace whit::compute::testing {
namespace {

class GradientContract : public Contract {};
WHIT_ON_EVERY_BACKEND(GradientContract);

double inner(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (std::int64_t i = 0; i < a.elements(); ++i)
    sum += static_cast<double>(a.as<float>()[i]) * static_cast<double>(b.as<float>()[i]);
  return sum;
}

struct Heads {
  std::int64_t tokens, heads, kv_heads, k_dim, shared_dim, v_dim, window;
  float softcap = 0;
  bool biased = false;
};

struct GradientProblem {
  Heads n;
  Tensor q, k, shared, v, dout, bias;

  explicit GradientProblem(const Heads& heads)
      : n(heads),
        q(random_f32({n.tokens, n.heads * (n.k_dim + n.shared_dim)}, 1)),
        k(random_f32({n.tokens, n.kv_heads * n.k_dim}, 2)),
        shared(random_f32({n.tokens, std::max<std::int64_t>(n.shared_dim, 1)}, 3)),
        v(random_f32({n.tokens, n.kv_heads * n.v_dim}, 4)),
        dout(random_f32({n.tokens, n.heads * n.v_dim}, 5)),
        bias(random_f32({n.heads, n.tokens + 2}, 6)) {}

  AttentionArgs args() const {
    AttentionArgs args;
    args.heads = n.heads;
    args.kv_heads = n.kv_heads;
    const std::int64_t q_dim = n.k_dim + n.shared_dim;
    args.q = {q.matrix(), 0, q_dim, q_dim};
    args.k = {k.matrix(), 0, n.k_dim, n.k_dim};
    if (n.shared_dim > 0) args.k_shared = HeadView{shared.matrix(), 0, 0, n.shared_dim};
    args.v = {v.matrix(), 0, n.v_dim, n.v_dim};
    args.scale = 0.4F;
    args.window = n.window;
    args.softcap = n.softcap;
    if (n.biased) args.key_bias = bias.matrix();
    return args;
  }
};

const std::vector<Heads> kHeads{{1, 1, 1, 4, 0, 4, 0},
                                {9, 2, 2, 8, 0, 6, 0},
                                {70, 4, 2, 16, 0, 8, 0},
                                {65, 3, 3, 8, 4, 6, 0},
                                {40, 2, 1, 8, 0, 8, 7},
                                {70, 2, 1, 8, 0, 8, 0, 1.5F},
                                {30, 2, 2, 6, 4, 8, 9, 0.7F},
                                {70, 6, 3, 8, 0, 8, 0, 0, true},
                                {30, 2, 2, 8, 0, 8, 9, 1.5F, true}};

TEST_P(GradientContract, AttentionIsTheSlopeOfAttention) {
  for (const Heads& heads : kHeads) {
    GradientProblem p(heads);
    Tensor dq(p.q.shape(), Dtype::kF32), dk(p.k.shape(), Dtype::kF32),
        ds(p.shared.shape(), Dtype::kF32), dv(p.v.shape(), Dtype::kF32);
    const MatrixView shared = heads.shared_dim > 0 ? ds.matrix() : MatrixView{};
    backend->gradient().attention(p.args(), p.dout.matrix(),
                                  {dq.matrix(), dk.matrix(), shared, dv.matrix()});
    const auto value = [&] {
      Tensor out(p.dout.shape(), Dtype::kF32);
      oracle->neural().attention(p.args(), out.matrix());
      return inner(out, p.dout);
    };
    const auto expect_slope = [&](Tensor& x, const Tensor& gradient, unsigned seed) {
      const Tensor along = random_f32(x.shape(), seed);
      const Tensor before = clone(x);
      constexpr float kStep = 4e-3F;
      double difference = 0;
      for (const float sign : {1.0F, -1.0F}) {
        for (std::int64_t i = 0; i < x.elements(); ++i)
          x.as<float>()[i] = before.as<float>()[i] + sign * kStep * along.as<float>()[i];
        difference += static_cast<double>(sign) * value();
      }
      std::copy_n(before.as<float>(), x.elements(), x.as<float>());
      const double slope = difference / (2 * static_cast<double>(kStep));
      EXPECT_NEAR(inner(gradient, along), slope, 2e-3 * (1 + std::sqrt(inner(gradient, gradient))))
          << "tokens " << heads.tokens << " seed " << seed;
    };
    expect_slope(p.q, dq, 11);
    expect_slope(p.k, dk, 12);
    expect_slope(p.v, dv, 13);
    if (heads.shared_dim > 0) expect_slope(p.shared, ds, 14);
  }
}

TEST_P(GradientContract, NormIsTheSlopeOfNorm) {
  const Tensor w = random_f32({1, 33}, 2);
  const Tensor b = random_f32({1, 33}, 5);
  const Tensor dy = random_f32({7, 33}, 3);
  for (const bool centered : {false, true})
    for (const float* weight : {w.as<float>(), static_cast<const float*>(nullptr)}) {
      Tensor x = random_f32({7, 33}, 1);
      for (std::int64_t i = 0; i < x.elements(); ++i) x.as<float>()[i] += 0.7F;
      const NormArgs args{centered, weight, b.as<float>(), 1e-2F};
      Tensor dx({7, 33}, Dtype::kF32);
      backend->gradient().norm(x.matrix(), args, dy.matrix(), dx.matrix());
      Tensor in_place = clone(dy);
      backend->gradient().norm(x.matrix(), args, in_place.matrix(), in_place.matrix());
      expect_same_bytes(in_place, dx);
      const Tensor along = random_f32({7, 33}, 4);
      const Tensor before = clone(x);
      double difference = 0;
      for (const float sign : {1.0F, -1.0F}) {
        for (std::int64_t i = 0; i < x.elements(); ++i)
          x.as<float>()[i] = before.as<float>()[i] + sign * 4e-3F * along.as<float>()[i];
        Tensor y({7, 33}, Dtype::kF32);
        oracle->neural().norm(x.matrix(), args, y.matrix());
        difference += static_cast<double>(sign) * inner(y, dy);
      }
      EXPECT_NEAR(inner(dx, along), difference / 8e-3, 1e-3 * (1 + std::sqrt(inner(dx, dx))));
    }
}

}  // namespace
}  // namespace whit::compute::testing
