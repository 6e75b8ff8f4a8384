#include "base/error.h"
#include "compute/support.h"
#include "numeric/float_codec.h"

namespace whit::compute::testing {
namespace {

class CodecContract : public Contract {
 protected:
  // Scales and zeros of w on `who`.
  std::pair<Tensor, Tensor> fit(Backend& who, const Tensor& w, const GridArgs& args,
                                std::span<const float> weights = {}) {
    const Shape shape{w.shape()[0], w.shape()[1] / args.group_size};
    Tensor scales(shape, Dtype::kF32);
    Tensor zeros(shape, Dtype::kF32);
    who.codec().fit_scales(w.matrix(), args, weights, scales.matrix(), zeros.matrix());
    return {std::move(scales), std::move(zeros)};
  }
  Tensor codes_of(const Tensor& w, const GridArgs& args, const Tensor& scales,
                  const Tensor& zeros) {
    Tensor codes(w.shape(), Dtype::kI8);
    backend->codec().round_to_grid(w.matrix(), args, scales.matrix(),
                                   args.symmetric ? ConstMatrixView{} : zeros.matrix(),
                                   codes.matrix());
    return codes;
  }
};
WHIT_ON_EVERY_BACKEND(CodecContract);

std::vector<int> ints(const Tensor& codes) {
  return {codes.as<std::int8_t>(), codes.as<std::int8_t>() + codes.elements()};
}

// The worked group of compressed-tensors' layout: int4, group 8, fp32 weights.
const std::vector<float> kWorked{.15F, -.30F, .07F, .29F, -.01F, .22F, -.18F, .05F};

TEST_P(CodecContract, WorkedSymmetricGroup) {
  const Tensor w = tensor::make_f32({1, 8}, kWorked);
  const GridArgs args{4, true, 8, ScaleSearch::kAbsmax, Dtype::kBF16};
  const auto [scales, zeros] = fit(*backend, w, args);
  EXPECT_EQ(scales.as<float>()[0], 0.0400390625F);
  EXPECT_EQ(zeros.as<float>()[0], 0.0F);
  EXPECT_EQ(ints(codes_of(w, args, scales, zeros)), (std::vector<int>{4, -7, 2, 7, 0, 5, -4, 1}));
}

TEST_P(CodecContract, WorkedAsymmetricGroup) {
  const Tensor w = tensor::make_f32({1, 8}, kWorked);
  const GridArgs args{4, false, 8, ScaleSearch::kAbsmax, Dtype::kBF16};
  const auto [scales, zeros] = fit(*backend, w, args);
  EXPECT_EQ(scales.as<float>()[0], 0.039306640625F);
  EXPECT_EQ(zeros.as<float>()[0], 0.0F);
  EXPECT_EQ(ints(codes_of(w, args, scales, zeros)), (std::vector<int>{4, -8, 2, 7, 0, 6, -5, 1}));
}

TEST_P(CodecContract, AsymmetricGroupsUseTheWholeRange) {
  // A group of one sign: zero sits at the end of the range, and both ends are reached.
  for (const float sign : {1.0F, -1.0F}) {
    Tensor w({1, 16}, Dtype::kF32);
    for (int i = 0; i < 16; ++i) w.as<float>()[i] = sign * static_cast<float>(i);
    const GridArgs args{4, false, 16, ScaleSearch::kAbsmax, Dtype::kF32};
    const auto [scales, zeros] = fit(*backend, w, args);
    EXPECT_EQ(scales.as<float>()[0], 1.0F);
    EXPECT_EQ(zeros.as<float>()[0], sign > 0 ? -8.0F : 7.0F);
    const auto codes = ints(codes_of(w, args, scales, zeros));
    EXPECT_EQ(codes[0], sign > 0 ? -8 : 7);
    EXPECT_EQ(codes[15], sign > 0 ? 7 : -8);
  }
}

TEST_P(CodecContract, ScalesAreRoundedToTheirTypeBeforeUse) {
  const Tensor w = random_f32({3, 64}, 1, 0.02F);
  for (const Dtype dtype : {Dtype::kBF16, Dtype::kF16, Dtype::kF32}) {
    for (const ScaleSearch search : {ScaleSearch::kAbsmax, ScaleSearch::kMse}) {
      const auto [scales, zeros] = fit(*backend, w, {4, true, 32, search, dtype});
      for (int i = 0; i < 6; ++i) {
        const float s = scales.as<float>()[i];
        EXPECT_GT(s, 0.0F);
        if (dtype == Dtype::kBF16) {
          EXPECT_EQ(s, numeric::round_to_bf16(s));
        }
        if (dtype == Dtype::kF16) {
          EXPECT_EQ(s, numeric::f16_to_f32(numeric::f32_to_f16(s)));
        }
      }
    }
  }
}

TEST_P(CodecContract, ScalesAreNeverZeroNorInfinite) {
  Tensor w({4, 4}, Dtype::kF32);
  for (int j = 0; j < 4; ++j) {
    w.as<float>()[4 + j] = 1e-30F;   // below F16's range
    w.as<float>()[8 + j] = 1e30F;    // beyond it
    w.as<float>()[12 + j] = 1e-45F;  // subnormal
  }
  for (const bool symmetric : {true, false})
    for (const ScaleSearch search : {ScaleSearch::kAbsmax, ScaleSearch::kMse})
      for (const Dtype dtype : {Dtype::kBF16, Dtype::kF16, Dtype::kF32}) {
        const auto [scales, zeros] = fit(*backend, w, {4, symmetric, 4, search, dtype});
        EXPECT_EQ(scales.as<float>()[0], 1.0F);
        EXPECT_EQ(zeros.as<float>()[0], 0.0F);
        for (int i = 0; i < 4; ++i) {
          EXPECT_GT(scales.as<float>()[i], 0.0F);
          EXPECT_TRUE(std::isfinite(scales.as<float>()[i]));
          EXPECT_TRUE(std::isfinite(zeros.as<float>()[i]));
        }
      }
}

TEST_P(CodecContract, RefusesGroupsThatDoNotDivide) {
  const Tensor w = random_f32({2, 12}, 2);
  Tensor scales({2, 1}, Dtype::kF32);
  for (const std::int64_t group : {0, 5, 13, 24})
    EXPECT_THROW(
        backend->codec().fit_scales(w.matrix(), {4, true, group, ScaleSearch::kAbsmax, Dtype::kF32},
                                    {}, scales.matrix(), {}),
        base::Error);
  EXPECT_THROW(
      backend->codec().fit_scales(w.matrix(), {9, true, 12, ScaleSearch::kAbsmax, Dtype::kF32}, {},
                                  scales.matrix(), {}),
      base::Error);
}

// What a grid loses of w, by the search's own measure.
double loss(const Tensor& w, const GridArgs& args, const Tensor& scales, const Tensor& zeros,
            std::span<const float> weights, std::int64_t row, std::int64_t group) {
  double sum = 0;
  const std::int64_t at = row * scales.shape()[1] + group;
  const double scale = static_cast<double>(scales.as<float>()[at]);
  const double zero = args.symmetric ? 0.0 : static_cast<double>(zeros.as<float>()[at]);
  for (std::int64_t i = 0; i < args.group_size; ++i) {
    const std::int64_t k = group * args.group_size + i;
    const double x = static_cast<double>(w.as<float>()[row * w.shape()[1] + k]);
    const double code = std::min<double>(
        std::max<double>(std::nearbyint(x / scale) + zero, scheme::code_min(args.bits)),
        scheme::code_max(args.bits));
    const double error = std::abs(x - (code - zero) * scale);
    sum += weights.empty()
               ? std::pow(error, 2.4)
               : static_cast<double>(weights[static_cast<std::size_t>(k)]) * error * error;
  }
  return sum;
}

TEST_P(CodecContract, SearchFindsAsGoodAGridAsTheOracle) {
  const Tensor w = random_f32({6, 96}, 3, 0.02F);
  std::vector<float> weights(96);
  for (std::size_t k = 0; k < weights.size(); ++k) weights[k] = static_cast<float>(k % 7) * 1000.0F;
  for (const int bits : {2, 3, 4, 5, 8})
    for (const bool symmetric : {true, false})
      for (const std::int64_t group : {1, 8, 32, 48, 96})
        for (const bool either_sign : {false, true})
          for (const bool weighted : {false, true}) {
            const std::span<const float> cw =
                weighted ? std::span<const float>(weights) : std::span<const float>{};
            const GridArgs args{bits,         symmetric,  group, ScaleSearch::kMse,
                                Dtype::kBF16, either_sign};
            const GridArgs widest{bits, symmetric, group, ScaleSearch::kAbsmax, Dtype::kBF16};
            const auto [scales, zeros] = fit(*backend, w, args, cw);
            const auto [best, best_zeros] = fit(*oracle, w, args, cw);
            const auto [wide, wide_zeros] = fit(*oracle, w, widest, cw);
            for (std::int64_t n = 0; n < 6; ++n)
              for (std::int64_t g = 0; g < 96 / group; ++g) {
                const double found = loss(w, args, scales, zeros, cw, n, g);
                EXPECT_LE(found, loss(w, args, best, best_zeros, cw, n, g) * (1 + 1e-4) + 1e-12);
                EXPECT_LE(found, loss(w, args, wide, wide_zeros, cw, n, g) * (1 + 1e-4) + 1e-12);
              }
          }
}

// The end of the range that has one code more serves the longer side.
TEST_P(CodecContract, ASymmetricGroupMayBeMirrored) {
  const std::vector<float> longer_above{1.6F, 0.8F, 0.4F, 0.2F, -0.2F, -0.4F, -0.8F, -1.4F};
  for (const float side : {1.0F, -1.0F})
    for (const bool weighted : {false, true}) {
      Tensor w = tensor::make_f32({1, 8}, longer_above);
      for (int k = 0; k < 8; ++k) w.as<float>()[k] *= side;
      const std::vector<float> weights(weighted ? 8 : 0, 2.0F);
      GridArgs args{4, true, 8, ScaleSearch::kMse, Dtype::kF32};
      const auto [one, zeros] = fit(*backend, w, args, weights);
      args.either_sign = true;
      const auto [either, same_zeros] = fit(*backend, w, args, weights);
      EXPECT_GT(one.as<float>()[0], 0.0F);
      EXPECT_EQ(either.as<float>()[0]<0, side> 0);
      if (side > 0) {
        EXPECT_LT(loss(w, args, either, zeros, weights, 0, 0),
                  0.5 * loss(w, args, one, zeros, weights, 0, 0));
        EXPECT_EQ(ints(codes_of(w, args, either, zeros))[0], -8);
      }
      args.symmetric = false;  // a zero point does as much
      EXPECT_GT(fit(*backend, w, args, weights).first.as<float>()[0], 0.0F);
    }
}

TEST_P(CodecContract, OfEqualScalesThePositiveOneStands) {
  const Tensor w = tensor::make_f32({1, 4}, std::vector<float>{1.0F, -1.0F, 0.5F, -0.5F});
  const auto [scales, zeros] =
      fit(*backend, w, {4, true, 4, ScaleSearch::kMse, Dtype::kBF16, true});
  EXPECT_GT(scales.as<float>()[0], 0.0F);
}

// Codes on a negative scale are those of the negated weights on the positive one.
TEST_P(CodecContract, NegativeScalesMirrorTheGrid) {
  const Tensor w = random_f32({9, 64}, 5);
  Tensor negated = clone(w);
  for (int i = 0; i < 9 * 64; ++i) negated.as<float>()[i] = -w.as<float>()[i];
  const GridArgs args{4, true, 32, ScaleSearch::kMse, Dtype::kBF16};
  auto [scales, zeros] = fit(*backend, w, args);
  const Tensor of_negated = codes_of(negated, args, scales, zeros);
  for (int i = 0; i < 18; ++i) scales.as<float>()[i] = -scales.as<float>()[i];
  EXPECT_EQ(ints(codes_of(w, args, scales, zeros)), ints(of_negated));
  scheme::GroupedInt weight;
  weight.bits = 4;
  weight.group_size = 32;
  weight.codes = clone(of_negated);
  weight.scales = clone(scales);
  Tensor decoded({9, 64}, Dtype::kF32);
  backend->codec().decode_grouped(weight, decoded.matrix());
  for (int i = 0; i < 9 * 64; ++i)
    EXPECT_EQ(decoded.as<float>()[i],
              static_cast<float>(of_negated.as<std::int8_t>()[i]) * scales.as<float>()[i / 32]);
}

TEST_P(CodecContract, SearchShrinksAGroupWithAnOutlier) {
  Tensor w({1, 128}, Dtype::kF32);
  for (int k = 0; k < 128; ++k) w.as<float>()[k] = 0.1F * static_cast<float>((k * 37) % 21 - 10);
  w.as<float>()[5] = 1.6F;
  const auto [scales, zeros] = fit(*backend, w, {3, true, 128, ScaleSearch::kMse, Dtype::kF32});
  EXPECT_LT(scales.as<float>()[0], 1.6F / 3.5F * 0.95F);
}

TEST_P(CodecContract, RoundsHalfToEvenAndClamps) {
  const std::vector<float> values{0.5F, 1.5F, 2.5F, -0.5F, -1.5F, -2.5F, 1e9F, -1e9F, 7.4F, -8.6F};
  const Tensor w = tensor::make_f32({1, 10}, values);
  const GridArgs args{4, true, 10, ScaleSearch::kAbsmax, Dtype::kF32};
  Tensor scales({1, 1}, Dtype::kF32);
  scales.as<float>()[0] = 1.0F;
  const Tensor zeros({1, 1}, Dtype::kF32);
  EXPECT_EQ(ints(codes_of(w, args, scales, zeros)),
            (std::vector<int>{0, 2, 2, 0, -2, -2, 7, -8, 7, -8}));
}

TEST_P(CodecContract, DecodesFloatTypesExactly) {
  for (const Dtype dtype : {Dtype::kF8E4M3, Dtype::kF8E5M2}) {
    Tensor all({4, 64}, dtype);
    for (int i = 0; i < 256; ++i) all.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(i);
    Tensor out({4, 64}, Dtype::kF32);
    backend->codec().to_f32(all.view(), out.matrix());
    const std::vector<float> expected = tensor::to_f32_vector(all.view());
    for (std::size_t i = 0; i < 256; ++i)
      if (std::isnan(expected[i])) {
        EXPECT_TRUE(std::isnan(out.as<float>()[i]));
      } else {
        EXPECT_EQ(out.as<float>()[i], expected[i]);
      }
  }
  for (const Dtype dtype : {Dtype::kBF16, Dtype::kF16}) {
    Tensor all({256, 256}, dtype);
    for (int i = 0; i < 65536; ++i) all.as<std::uint16_t>()[i] = static_cast<std::uint16_t>(i);
    Tensor out({256, 256}, Dtype::kF32);
    backend->codec().to_f32(all.view(), out.matrix());
    const std::vector<float> expected = tensor::to_f32_vector(all.view());
    for (std::size_t i = 0; i < 65536; ++i)
      if (std::isnan(expected[i])) {
        ASSERT_TRUE(std::isnan(out.as<float>()[i])) << i;
      } else {
        ASSERT_EQ(std::bit_cast<std::uint32_t>(out.as<float>()[i]),
                  std::bit_cast<std::uint32_t>(expected[i]))
            << i;
      }
  }
  Tensor wrong({1, 4}, Dtype::kI32);
  Tensor out({1, 4}, Dtype::kF32);
  EXPECT_THROW(backend->codec().to_f32(wrong.view(), out.matrix()), base::Error);
}

TEST_P(CodecContract, DecodesFp8BlocksWithRaggedEdges) {
  for (const auto& [rows, cols] :
       {std::pair<std::int64_t, std::int64_t>{5, 7}, {128, 128}, {130, 257}, {1, 1}}) {
    const Tensor codes = random_bytes({rows, cols}, Dtype::kF8E4M3, 4, 0xbf);  // no NaN among them
    const Tensor scales = absolute(random_f32({(rows + 63) / 64 + 1, (cols + 31) / 32 + 2}, 5));
    Tensor out({rows, cols}, Dtype::kF32);
    backend->codec().decode_scaled_fp8(codes.view(), scales.view(), 64, 32, out.matrix());
    const std::vector<float> plain = tensor::to_f32_vector(codes.view());
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < cols; ++j)
        ASSERT_EQ(out.as<float>()[i * cols + j],
                  plain[static_cast<std::size_t>(i * cols + j)] *
                      scales.as<float>()[i / 64 * scales.shape()[1] + j / 32]);
    const Tensor small =
        random_f32({(rows + 63) / 64, (cols + 31) / 32 - 1 + (cols > 32 ? 0 : 1)}, 6);
    if (cols > 32) {
      EXPECT_THROW(
          backend->codec().decode_scaled_fp8(codes.view(), small.view(), 64, 32, out.matrix()),
          base::Error);
    }
  }
}

TEST_P(CodecContract, DecodesGroupedLikeTheScheme) {
  for (const bool symmetric : {true, false}) {
    scheme::GroupedInt w;
    w.bits = 4;
    w.group_size = 8;
    w.codes = Tensor({3, 20}, Dtype::kI8);
    for (int i = 0; i < 60; ++i)
      w.codes.as<std::int8_t>()[i] = static_cast<std::int8_t>(i % 16 - 8);
    w.scales = absolute(random_f32({3, 3}, 7));
    if (!symmetric) {
      w.zeros = Tensor({3, 3}, Dtype::kI8);
      for (int i = 0; i < 9; ++i) w.zeros.as<std::int8_t>()[i] = static_cast<std::int8_t>(i - 4);
    }
    Tensor out({3, 20}, Dtype::kF32);
    backend->codec().decode_grouped(w, out.matrix());
    expect_same_bytes(out, scheme::decode(scheme::QuantizedWeight(std::move(w))));
  }
}

}  // namespace
}  // namespace whit::compute::testing
