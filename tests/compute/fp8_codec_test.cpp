#include <bit>
#include <limits>

#include "compute/support.h"
#include "numeric/float_codec.h"

namespace whit::compute::testing {
namespace {

class Float8Contract : public Contract {
 protected:
  std::vector<int> codes_of(const std::vector<float>& values, Dtype dtype, float limit,
                            float scale = 1) {
    const auto size = static_cast<std::int64_t>(values.size());
    const Tensor x = tensor::make_f32({1, size}, values);
    const Tensor scales = tensor::make_f32({1, 1}, std::vector<float>{scale});
    Tensor codes({1, size}, dtype);
    backend->codec().encode_scaled_fp8(x.matrix(), scales.view(), 1, size, limit, codes.matrix());
    return {codes.as<std::uint8_t>(), codes.as<std::uint8_t>() + size};
  }
};
WHIT_ON_EVERY_BACKEND(Float8Contract);

const std::vector<float> kValues{0.0F,
                                 -0.0F,
                                 0x1p-10F,
                                 0x1.0007p-10F,
                                 1.5F * 0x1p-9F,
                                 2.5F * 0x1p-9F,
                                 7.5F * 0x1p-9F,
                                 0.1F,
                                 0.3F,
                                 1.0625F,
                                 1.1875F,
                                 3.3F,
                                 17,
                                 19,
                                 232,
                                 240,
                                 248,
                                 432,
                                 464,
                                 480,
                                 1000,
                                 -500};

TEST_P(Float8Contract, WorkedCodes) {
  EXPECT_EQ(codes_of(kValues, Dtype::kF8E4M3, 448),
            (std::vector<int>{0x00, 0x80, 0x00, 0x01, 0x02, 0x02, 0x08, 0x1d, 0x2a, 0x38, 0x3a,
                              0x45, 0x58, 0x5a, 0x76, 0x77, 0x78, 0x7e, 0x7e, 0x7e, 0x7e, 0xfe}));
  const auto gaudi2 = codes_of(kValues, Dtype::kF8E4M3, 240);
  EXPECT_EQ(std::vector<int>(gaudi2.end() - 6, gaudi2.end()),
            (std::vector<int>{0x77, 0x77, 0x77, 0x77, 0x77, 0xf7}));
  EXPECT_EQ(codes_of(kValues, Dtype::kF8E5M2, 57344),
            (std::vector<int>{0x00, 0x80, 0x14, 0x14, 0x1a, 0x1d, 0x24, 0x2e, 0x35, 0x3c, 0x3d,
                              0x43, 0x4c, 0x4d, 0x5b, 0x5c, 0x5c, 0x5f, 0x5f, 0x60, 0x64, 0xe0}));
  EXPECT_EQ(codes_of({1e6F, 61440}, Dtype::kF8E5M2, 57344), (std::vector<int>{0x7b, 0x7b}));
}

TEST_P(Float8Contract, EveryRoundingAgreesWithTheScalarTruth) {
  // Some thousand floats of both signs, NaN and infinity included.
  std::vector<float> values;
  for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += 7919 * 64)
    values.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (int exponent = -18; exponent < 17; ++exponent)  // ties, and their neighbours
    for (int part = 0; part < 32; ++part) {
      const float tie = 3 * std::ldexp(1.0F + static_cast<float>(part) / 32, exponent);
      for (const float value : {tie, std::nextafter(tie, 0.0F), std::nextafter(tie, kInfinity)})
        values.push_back(value);
    }
  values.push_back(kInfinity);
  values.push_back(std::numeric_limits<float>::quiet_NaN());
  for (const Dtype dtype : {Dtype::kF8E4M3, Dtype::kF8E5M2}) {
    const float limit = dtype == Dtype::kF8E4M3 ? 448 : 57344;
    const auto codes = codes_of(values, dtype, limit, 3);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const float scaled = values[i] / 3;
      const int expected =
          dtype == Dtype::kF8E4M3 ? numeric::f32_to_e4m3(scaled) : numeric::f32_to_e5m2(scaled);
      ASSERT_EQ(codes[i], expected) << values[i];
    }
  }
}

TEST_P(Float8Contract, BlocksAreRaggedAtTheEdges) {
  const Tensor x = random_f32({5, 7}, 3);
  const auto maxima = backend->codec().block_maxima(x.matrix(), 2, 3);
  ASSERT_EQ(maxima.size(), 9U);
  EXPECT_EQ(maxima, oracle->codec().block_maxima(x.matrix(), 2, 3));
  EXPECT_EQ(maxima.back(), std::abs(x.as<float>()[4 * 7 + 6]));
  Tensor bad = clone(x);
  bad.as<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(backend->codec().block_maxima(bad.matrix(), 2, 3)[0]));
}

TEST_P(Float8Contract, RoundingIsEncodingAndDecoding) {
  for (const scheme::Float8Rounding rounding :
       {scheme::Float8Rounding{}, scheme::Float8Rounding{Dtype::kF8E4M3, 240, 0, 5},
        scheme::Float8Rounding{Dtype::kF8E5M2, 57344, 0.01F, 0}}) {
    Tensor x = random_f32({6, 13}, 4, 7);
    std::fill_n(x.as<float>() + 13, 13, 0.0F);
    Tensor expected = clone(x);
    backend->codec().round_fp8(x.matrix(), rounding);
    oracle->codec().round_fp8(expected.matrix(), rounding);
    for (std::int64_t i = 0; i < x.elements(); ++i)
      ASSERT_EQ(x.as<float>()[i], expected.as<float>()[i]);
  }
}

// Per token at backoff 1: the largest of each row becomes the largest code.
TEST_P(Float8Contract, DynamicScalesReachTheLimit) {
  Tensor x = tensor::make_f32({2, 4}, std::vector<float>{1, -3, .5F, 2, 100, -7, 60, 1});
  backend->codec().round_fp8(x.matrix(), {});
  EXPECT_EQ(x.as<float>()[1], -448 * (3.0F / 448));
  EXPECT_EQ(x.as<float>()[4], 448 * (100.0F / 448));
  EXPECT_EQ(x.as<float>()[5], -32 * (100.0F / 448));  // -7 / s = -31.36
}

}  // namespace
}  // namespace whit::compute::testing
