#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "compute/support.h"
#include "numeric/float_codec.h"

namespace whit::compute::testing {
namespace {

class NeuralContract : public Contract {};
WHIT_ON_EVERY_BACKEND(NeuralContract);

TEST_P(NeuralContract, EmbedsEveryTableType) {
  const std::vector<std::int32_t> ids{2, 0, 2};
  for (const Dtype dtype : {Dtype::kF32, Dtype::kBF16, Dtype::kF16}) {
    Tensor table({3, 19}, dtype);
    for (std::int64_t i = 0; i < 57; ++i) {
      const float value = static_cast<float>(i) * 0.37F - 9.0F;
      if (dtype == Dtype::kF32) table.as<float>()[i] = value;
      if (dtype == Dtype::kBF16) table.as<std::uint16_t>()[i] = numeric::f32_to_bf16(value);
      if (dtype == Dtype::kF16) table.as<std::uint16_t>()[i] = numeric::f32_to_f16(value);
    }
    const std::vector<float> all = tensor::to_f32_vector(table.view());
    Tensor out({3, 19}, Dtype::kF32);
    backend->neural().embed(table.view(), ids, out.matrix());
    for (std::size_t t = 0; t < 3; ++t)
      for (std::size_t j = 0; j < 19; ++j)
        EXPECT_EQ(out.as<float>()[t * 19 + j], all[static_cast<std::size_t>(ids[t]) * 19 + j]);
  }
}

TEST_P(NeuralContract, RefusesTokenIdsOutsideTheTable) {
  const Tensor table = random_f32({3, 4}, 1);
  Tensor out({1, 4}, Dtype::kF32);
  for (const std::int32_t id : {-1, 3})
    EXPECT_THROW(backend->neural().embed(table.view(), std::vector<std::int32_t>{id}, out.matrix()),
                 base::Error);
}

TEST_P(NeuralContract, RmsNorm) {
  for (const std::int64_t width : {1, 15, 64, 333}) {
    const Tensor x = random_f32({9, width}, 2, 3.0F);
    const Tensor w = random_f32({width}, 3);
    Tensor out({9, width}, Dtype::kF32);
    Tensor expected({9, width}, Dtype::kF32);
    backend->neural().norm(x.matrix(), {false, w.as<float>(), nullptr, 1e-6F}, out.matrix());
    oracle->neural().norm(x.matrix(), {false, w.as<float>(), nullptr, 1e-6F}, expected.matrix());
    expect_within(out, expected, expected, 5 * kEps);
  }
  const Tensor zero({1, 8}, Dtype::kF32);
  const Tensor w = random_f32({8}, 3);
  Tensor out({1, 8}, Dtype::kF32);
  backend->neural().norm(zero.matrix(), {false, w.as<float>(), nullptr, 1e-6F}, out.matrix());
  for (int j = 0; j < 8; ++j) EXPECT_EQ(out.as<float>()[j], 0.0F);
}

TEST_P(NeuralContract, LayerNorm) {
  for (const std::int64_t width : {2, 15, 64, 333}) {
    Tensor x = random_f32({9, width}, 2, 3.0F);
    // A mean that dwarfs what varies: the row is centered before anything is squared.
    for (std::int64_t j = 0; j < width; ++j) x.as<float>()[width + j] += 1e4F;
    const Tensor w = random_f32({width}, 3);
    const Tensor b = random_f32({width}, 4);
    for (const float* weight : {w.as<float>(), static_cast<const float*>(nullptr)})
      for (const float* bias : {b.as<float>(), static_cast<const float*>(nullptr)})
        for (const bool centered : {true, false}) {
          const NormArgs args{centered, weight, bias, 1e-5F};
          Tensor out({9, width}, Dtype::kF32);
          Tensor expected({9, width}, Dtype::kF32);
          backend->neural().norm(x.matrix(), args, out.matrix());
          oracle->neural().norm(x.matrix(), args, expected.matrix());
          // The product may nearly cancel against the bias.
          Tensor bound = absolute(expected);
          for (std::int64_t i = 0; bias != nullptr && i < bound.elements(); ++i)
            bound.as<float>()[i] += 2 * std::abs(bias[i % width]);
          expect_within(out, expected, bound, 6 * kEps);
          Tensor in_place = clone(x);
          backend->neural().norm(in_place.matrix(), args, in_place.matrix());
          expect_same_bytes(in_place, out);
        }
  }
  // By hand: 1, 2, 3, 6 has mean 3 and variance 3.5.
  const float row[] = {1, 2, 3, 6};
  Tensor x({1, 4}, Dtype::kF32);
  std::copy(std::begin(row), std::end(row), x.as<float>());
  Tensor out({1, 4}, Dtype::kF32);
  backend->neural().norm(x.matrix(), {true, nullptr, nullptr, 0.5F}, out.matrix());
  for (int j = 0; j < 4; ++j) EXPECT_FLOAT_EQ(out.as<float>()[j], (row[j] - 3.0F) / 2.0F);
}

TEST_P(NeuralContract, RopeInBothLayouts) {
  const std::vector<std::int32_t> positions{0, 5, 2};
  for (const std::int64_t half : {1, 4, 9}) {
    Tensor cos_sin({6, 2 * half}, Dtype::kF32);
    for (std::int64_t p = 0; p < 6; ++p)
      for (std::int64_t i = 0; i < half; ++i) {
        const double angle = static_cast<double>(p) / (1.0 + static_cast<double>(i));
        cos_sin.as<float>()[p * 2 * half + i] = static_cast<float>(std::cos(angle));
        cos_sin.as<float>()[p * 2 * half + half + i] = static_cast<float>(std::sin(angle));
      }
    for (const bool interleaved : {false, true}) {
      Tensor x = random_f32({3, 3 + 2 * (2 * half + 1)}, 4);
      const Tensor before = clone(x);
      Tensor expected = clone(x);
      for (auto [who, out] : {std::pair{backend.get(), &x}, std::pair{oracle.get(), &expected}})
        who->neural().rope(out->matrix(), 2, 3, 2 * half + 1, cos_sin.matrix(), interleaved,
                           positions);
      Tensor bound = clone(x);
      std::fill_n(bound.as<float>(), bound.elements(), 8.0F);
      expect_within(x, expected, bound, 2 * kEps);
      // Position 0 turns nothing; columns outside the heads stay.
      for (std::int64_t j = 0; j < x.shape()[1]; ++j)
        EXPECT_EQ(x.as<float>()[j], before.as<float>()[j]);
      const std::int64_t wide = x.shape()[1];
      EXPECT_EQ(x.as<float>()[wide + 2], before.as<float>()[wide + 2]);
      EXPECT_EQ(x.as<float>()[wide + 3 + 2 * half], before.as<float>()[wide + 3 + 2 * half]);
    }
  }
}

constexpr Activation kActivations[] = {Activation::kSilu, Activation::kGelu, Activation::kGeluTanh,
                                       Activation::kRelu, Activation::kTanh};

// exp of an argument of size a errs by a eps: 88 at most before the result is no normal number.
TEST_P(NeuralContract, ActivationsTimesAFactor) {
  for (const Activation act : kActivations) {
    Tensor gate = random_f32({4, 101}, 5, 20.0F);
    const float special[] = {0.0F, -0.0F, 88.0F, -88.0F, 1e12F, -1e12F, 1e-30F, -104.0F, 0.3F};
    std::copy(std::begin(special), std::end(special), gate.as<float>());
    const Tensor up = random_f32({4, 101}, 6);
    for (const ConstMatrixView times : {up.matrix(), ConstMatrixView{}}) {
      Tensor out({4, 101}, Dtype::kF32);
      Tensor expected({4, 101}, Dtype::kF32);
      backend->neural().activate(act, gate.matrix(), times, out.matrix());
      oracle->neural().activate(act, gate.matrix(), times, expected.matrix());
      expect_within(out, expected, expected, 96 * kEps, 1e-7);
      Tensor in_place = clone(gate);
      backend->neural().activate(act, in_place.matrix(), times, in_place.matrix());
      expect_same_bytes(in_place, out);
    }
    gate.as<float>()[0] = std::nanf("");
    Tensor out({4, 101}, Dtype::kF32);
    backend->neural().activate(act, gate.matrix(), up.matrix(), out.matrix());
    if (act != Activation::kRelu) {
      EXPECT_TRUE(std::isnan(out.as<float>()[0]));
    }
  }
}

// Values of the functions themselves, from their definitions in the standard library.
TEST_P(NeuralContract, ActivationsAreWhatTheirNamesSay) {
  const Tensor x = tensor::make_f32({1, 5}, std::vector<float>{-2.5F, -0.4F, 0.1F, 1.0F, 3.0F});
  Tensor out({1, 5}, Dtype::kF32);
  for (const Activation act : kActivations) {
    backend->neural().activate(act, x.matrix(), {}, out.matrix());
    for (int j = 0; j < 5; ++j) {
      const double v = static_cast<double>(x.as<float>()[j]);
      double expected = v * 0.5 * (1 + std::erf(v / std::sqrt(2.0)));
      if (act == Activation::kSilu) expected = v / (1 + std::exp(-v));
      if (act == Activation::kRelu) expected = v < 0 ? 0 : v;
      if (act == Activation::kTanh) expected = std::tanh(v);
      if (act == Activation::kGeluTanh)
        expected = 0.5 * v * (1 + std::tanh(0.7978845608028654 * (v + 0.044715 * v * v * v)));
      EXPECT_NEAR(out.as<float>()[j], expected, 4e-7) << static_cast<int>(act) << " of " << v;
    }
  }
}

TEST_P(NeuralContract, ActivationsAreRelativelyPreciseWhereTheyAreNormal) {
  for (const Activation act : kActivations) {
    const bool steep = act == Activation::kGelu || act == Activation::kGeluTanh;
    Tensor x({1, 4000}, Dtype::kF32);
    for (int i = 0; i < 4000; ++i)
      x.as<float>()[i] = (steep ? 0.05F : 1.0F) * (-80.0F + 0.04F * static_cast<float>(i));
    Tensor out({1, 4000}, Dtype::kF32);
    Tensor expected({1, 4000}, Dtype::kF32);
    backend->neural().activate(act, x.matrix(), {}, out.matrix());
    oracle->neural().activate(act, x.matrix(), {}, expected.matrix());
    expect_within(out, expected, expected, (act == Activation::kSilu ? 6 : 32) * kEps);
  }
}

TEST_P(NeuralContract, AddGatherScatter) {
  Tensor x = random_f32({5, 23}, 7);
  const Tensor y = random_f32({5, 23}, 8);
  Tensor sum = clone(x);
  backend->neural().add(sum.matrix(), y.matrix());
  for (int i = 0; i < 5 * 23; ++i)
    EXPECT_EQ(sum.as<float>()[i], x.as<float>()[i] + y.as<float>()[i]);

  const std::vector<std::int32_t> rows{4, 1};
  const std::vector<float> weights{0.5F, -2.0F};
  Tensor some({2, 23}, Dtype::kF32);
  backend->neural().gather_rows(x.matrix(), rows, some.matrix());
  EXPECT_EQ(some.as<float>()[0], x.as<float>()[4 * 23]);
  Tensor out = clone(y);
  backend->neural().scatter_add_rows(some.matrix(), rows, weights, out.matrix());
  for (int j = 0; j < 23; ++j) {
    EXPECT_NEAR(out.as<float>()[4 * 23 + j],
                y.as<float>()[4 * 23 + j] + 0.5 * x.as<float>()[4 * 23 + j], 1e-6);
    EXPECT_NEAR(out.as<float>()[23 + j], y.as<float>()[23 + j] - 2.0 * x.as<float>()[23 + j], 1e-6);
    EXPECT_EQ(out.as<float>()[j], y.as<float>()[j]);
  }
  Tensor none({0, 23}, Dtype::kF32);
  backend->neural().gather_rows(x.matrix(), {}, none.matrix().sub(0, 0, 0, 23));
}

TEST_P(NeuralContract, GatherAndScatterRoundToBf16) {
  for (const std::int64_t cols : {23, 24}) {
    const Tensor wide = random_f32({5, cols}, 10);
    Tensor x({5, cols}, Dtype::kBF16);
    backend->codec().narrow(wide.matrix(), x.matrix());
    const std::vector<std::int32_t> rows{1, 4};
    const std::vector<float> weights{0.5F, -2.0F};
    Tensor some({2, cols}, Dtype::kF32);
    backend->neural().gather_rows(std::as_const(x).matrix(), rows, some.matrix());
    Tensor sums = clone(x);
    backend->neural().scatter_add_rows(some.matrix(), rows, weights, sums.matrix());
    for (std::int64_t i = 0; i < 5; ++i)
      for (std::int64_t j = 0; j < cols; ++j) {
        const auto at = i * cols + j;
        EXPECT_EQ(x.as<std::uint16_t>()[at], numeric::f32_to_bf16(wide.as<float>()[at]));
        const float own = numeric::bf16_to_f32(x.as<std::uint16_t>()[at]);
        const float factor = i == 1 ? 1.5F : i == 4 ? -1.0F : 1.0F;
        EXPECT_EQ(sums.as<std::uint16_t>()[at], numeric::f32_to_bf16(factor * own)) << i << j;
      }
    for (std::int64_t j = 0; j < cols; ++j)
      EXPECT_EQ(some.as<float>()[cols + j],
                numeric::bf16_to_f32(x.as<std::uint16_t>()[4 * cols + j]));
  }
}

TEST_P(NeuralContract, LogSoftmaxSumsToOne) {
  for (const std::int64_t width : {1, 15, 1000}) {
    Tensor logits = random_f32({6, width}, 9, 30.0F);
    Tensor expected = clone(logits);
    backend->neural().log_softmax(logits.matrix());
    oracle->neural().log_softmax(expected.matrix());
    for (std::int64_t t = 0; t < 6; ++t) {
      double sum = 0;
      for (std::int64_t j = 0; j < width; ++j) {
        const double value = static_cast<double>(logits.as<float>()[t * width + j]);
        sum += std::exp(value);
        EXPECT_NEAR(value, expected.as<float>()[t * width + j],
                    2e-7 * std::max(1.0, std::abs(value)));
      }
      EXPECT_NEAR(sum, 1.0, 1e-5);
    }
  }
}

// The score of one expert, written independently.
double router_score(const float* logits, std::int64_t experts, std::int64_t e, RouterScore kind) {
  if (kind == RouterScore::kSigmoid) return 1.0 / (1.0 + std::exp(-static_cast<double>(logits[e])));
  double sum = 0;
  for (std::int64_t i = 0; i < experts; ++i)
    sum += std::exp(static_cast<double>(logits[i]) - static_cast<double>(logits[e]));
  return 1 / sum;
}

struct RoutingCase {
  std::int64_t experts;
  RoutingArgs args;
};

// Routing by sorting, written independently: for every token the chosen experts in order of score.
std::vector<std::int32_t> route_by_sorting(const float* logits, const float* bias,
                                           const RoutingCase& c) {
  std::vector<float> biased;
  for (std::int64_t e = 0; e < c.experts; ++e)
    biased.push_back(static_cast<float>(router_score(logits, c.experts, e, c.args.score)) +
                     bias[e]);
  const std::int64_t size = c.experts / c.args.groups;
  std::vector<std::pair<float, std::int64_t>> groups;
  for (std::int64_t g = 0; g < c.args.groups; ++g) {
    std::vector<float> members(biased.begin() + g * size, biased.begin() + (g + 1) * size);
    std::sort(members.begin(), members.end(), std::greater<>());
    float best = members[0];
    if (c.args.group_best == 2 && size > 1) best += members[1];
    groups.emplace_back(-best, g);
  }
  std::sort(groups.begin(), groups.end());
  std::vector<std::pair<float, std::int32_t>> open;
  for (std::int64_t i = 0; i < c.args.groups_kept; ++i)
    for (std::int64_t e = 0; e < size; ++e) {
      const std::int64_t id = groups[static_cast<std::size_t>(i)].second * size + e;
      open.emplace_back(-biased[static_cast<std::size_t>(id)], static_cast<std::int32_t>(id));
    }
  std::sort(open.begin(), open.end());
  std::vector<std::int32_t> chosen;
  for (std::int64_t i = 0; i < c.args.top_k; ++i)
    chosen.push_back(open[static_cast<std::size_t>(i)].second);
  return chosen;
}

TEST_P(NeuralContract, RoutesLikeASort) {
  constexpr RouterScore kSigmoid = RouterScore::kSigmoid;
  constexpr RouterScore kSoftmax = RouterScore::kSoftmax;
  const RoutingCase cases[] = {
      {8, {2, 4, 2, 2, kSigmoid, true, 2.5F}},    {16, {8, 4, 2, 2, kSigmoid, true, 1.0F}},
      {6, {3, 1, 1, 2, kSigmoid, false, 2.0F}},   {5, {2, 5, 3, 2, kSigmoid, true, 1.0F}},
      {256, {8, 8, 4, 2, kSigmoid, true, 2.5F}},  {8, {2, 1, 1, 1, kSoftmax, true, 1.0F}},
      {60, {4, 1, 1, 2, kSoftmax, false, 1.0F}},  {12, {3, 4, 2, 1, kSoftmax, false, 16.0F}},
      {160, {6, 8, 3, 1, kSoftmax, true, 16.0F}}, {12, {3, 4, 2, 1, kSigmoid, false, 1.0F}}};
  for (const RoutingCase& c : cases) {
    const Tensor logits = random_f32({50, c.experts}, 10);
    const Tensor bias = random_f32({c.experts}, 11, 0.5F);  // negative scores among them
    std::vector<float> scores;
    const Routing routing =
        backend->neural().route(logits.matrix(), bias.as<float>(), c.args, &scores);
    ASSERT_EQ(scores.size(), static_cast<std::size_t>(50 * c.experts));
    for (std::int64_t t = 0; t < 50; ++t) {
      const float* row = logits.as<float>() + t * c.experts;
      const auto expected = route_by_sorting(row, bias.as<float>(), c);
      double sum = 0;
      for (std::int32_t e : expected) sum += router_score(row, c.experts, e, c.args.score);
      for (std::int64_t i = 0; i < c.args.top_k; ++i) {
        const std::size_t at = static_cast<std::size_t>(t * c.args.top_k + i);
        const std::int32_t e = expected[static_cast<std::size_t>(i)];
        EXPECT_EQ(routing.experts[at], e);
        const double score = router_score(row, c.experts, e, c.args.score);
        EXPECT_NEAR(scores[static_cast<std::size_t>(t * c.experts + e)], score, 1e-7);
        EXPECT_NEAR(
            routing.weights[at],
            (c.args.renormalize ? score / sum : score) * static_cast<double>(c.args.scaling),
            4e-7 * static_cast<double>(c.args.scaling));
      }
    }
  }
}

TEST_P(NeuralContract, RoutingPrefersTheLowerOfEquals) {
  const Tensor logits({1, 8}, Dtype::kF32);
  const Routing routing = backend->neural().route(
      logits.matrix(), nullptr, {3, 4, 2, 2, RouterScore::kSigmoid, true, 1}, nullptr);
  EXPECT_EQ(routing.experts, (std::vector<std::int32_t>{0, 1, 2}));
}

TEST_P(NeuralContract, RoutingNeverPicksAMaskedExpert) {
  // Group 0 wins, yet its second expert scores below every masked one.
  const Tensor logits = tensor::make_f32({1, 4}, std::vector<float>{4, -4, 1, 1});
  const std::vector<float> bias{2.0F, -3.0F, 0.0F, 0.0F};
  RoutingArgs args{2, 2, 1, 2, RouterScore::kSigmoid, true, 1};
  const std::vector<float> strong{2.0F, -0.5F, -0.2F, -0.2F};
  const Routing routing = backend->neural().route(logits.matrix(), strong.data(), args, nullptr);
  EXPECT_EQ(routing.experts, (std::vector<std::int32_t>{0, 1}));
  args.top_k = 3;
  EXPECT_THROW(backend->neural().route(logits.matrix(), bias.data(), args, nullptr), base::Error);
}

}  // namespace
}  // namespace whit::compute::testing
