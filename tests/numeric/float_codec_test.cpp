#include "numeric/float_codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace whit::numeric {
namespace {

// What a binary format says about its codes, in exact double arithmetic and independent of the code
// under test.
struct Definition {
  const char* name;
  int exponent_bits, mantissa_bits;
  bool infinities;  // else only the all-ones code of each sign is NaN

  int bits() const { return 1 + exponent_bits + mantissa_bits; }
  std::uint32_t codes() const { return 1U << bits(); }
  std::uint32_t sign_bit() const { return 1U << (bits() - 1); }

  double value(std::uint32_t code) const {
    const int mantissa = static_cast<int>(code % (1U << mantissa_bits));
    const int exponent = static_cast<int>((code >> mantissa_bits) % (1U << exponent_bits));
    const int top = (1 << exponent_bits) - 1;
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const double sign = (code & sign_bit()) != 0 ? -1.0 : 1.0;
    const double nan = std::numeric_limits<double>::quiet_NaN();
    if (infinities && exponent == top)
      return mantissa == 0 ? sign * std::numeric_limits<double>::infinity() : nan;
    if (!infinities && exponent == top && mantissa == (1 << mantissa_bits) - 1) return nan;
    const double fraction = std::ldexp(mantissa, -mantissa_bits);
    return exponent == 0 ? sign * std::ldexp(fraction, 1 - bias)
                         : sign * std::ldexp(1.0 + fraction, exponent - bias);
  }

  // The largest code of a finite positive value.
  std::uint32_t max_code() const {
    std::uint32_t code = sign_bit() - 1;
    while (!std::isfinite(value(code))) --code;
    return code;
  }
};

const Definition kE4M3{"E4M3FN", 4, 3, false};
const Definition kE5M2{"E5M2", 5, 2, true};
const Definition kHalf{"F16", 5, 10, true};
const Definition kBf16{"BF16", 8, 7, true};

struct Codec {
  Definition definition;
  float (*decode)(std::uint32_t);
  std::uint32_t (*encode)(float);
  bool saturates;
};

const std::vector<Codec>& codecs() {
  static const std::vector<Codec> kCodecs{
      {kE4M3, [](std::uint32_t c) { return e4m3_to_f32(static_cast<std::uint8_t>(c)); },
       [](float v) { return std::uint32_t{f32_to_e4m3(v)}; }, true},
      {kE5M2, [](std::uint32_t c) { return e5m2_to_f32(static_cast<std::uint8_t>(c)); },
       [](float v) { return std::uint32_t{f32_to_e5m2(v)}; }, true},
      {kHalf, [](std::uint32_t c) { return f16_to_f32(static_cast<std::uint16_t>(c)); },
       [](float v) { return std::uint32_t{f32_to_f16(v)}; }, false},
      {kBf16, [](std::uint32_t c) { return bf16_to_f32(static_cast<std::uint16_t>(c)); },
       [](float v) { return std::uint32_t{f32_to_bf16(v)}; }, false},
  };
  return kCodecs;
}

class FloatCodec : public ::testing::TestWithParam<std::size_t> {
 protected:
  const Codec& codec() const { return codecs()[GetParam()]; }
};

TEST_P(FloatCodec, EveryCodeDecodesToItsDefinition) {
  for (std::uint32_t code = 0; code < codec().definition.codes(); ++code) {
    const double expected = codec().definition.value(code);
    const double found = codec().decode(code);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(found)) << code;
    } else {
      ASSERT_EQ(found, expected) << code;
      ASSERT_EQ(std::signbit(found), std::signbit(expected)) << code;
    }
  }
}

TEST_P(FloatCodec, EveryFiniteCodeRoundTrips) {
  for (std::uint32_t code = 0; code < codec().definition.codes(); ++code) {
    if (!std::isfinite(codec().definition.value(code))) continue;
    ASSERT_EQ(codec().encode(codec().decode(code)), code);
  }
}

TEST_P(FloatCodec, TiesGoToEvenAndNeighboursToTheNearest) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (std::uint32_t code = 0; code < codec().definition.max_code(); ++code) {
    const double low = codec().definition.value(code);
    const double high = codec().definition.value(code + 1);
    const auto middle = static_cast<float>((low + high) / 2);  // exact: one more mantissa bit
    ASSERT_EQ(static_cast<double>(middle), (low + high) / 2);
    const std::uint32_t even = code % 2 == 0 ? code : code + 1;
    const std::uint32_t sign = codec().definition.sign_bit();
    ASSERT_EQ(codec().encode(middle), even) << middle;
    ASSERT_EQ(codec().encode(-middle), even | sign) << middle;
    ASSERT_EQ(codec().encode(std::nextafter(middle, 0.0F)), code) << middle;
    ASSERT_EQ(codec().encode(std::nextafter(middle, infinity)), code + 1) << middle;
  }
}

TEST_P(FloatCodec, BeyondTheLargestSaturatesOrOverflows) {
  const Definition& d = codec().definition;
  const std::uint32_t max_code = d.max_code();
  const double largest = d.value(max_code);
  const double step = largest - d.value(max_code - 1);
  const std::uint32_t beyond = codec().saturates ? max_code : max_code + 1;
  const auto tie = static_cast<float>(largest + step / 2);
  EXPECT_EQ(codec().encode(std::nextafter(tie, 0.0F)), max_code);
  EXPECT_EQ(codec().encode(tie), beyond);
  EXPECT_EQ(codec().encode(-tie), beyond | d.sign_bit());
  EXPECT_EQ(codec().encode(std::numeric_limits<float>::max()), beyond);
  EXPECT_EQ(codec().encode(std::numeric_limits<float>::infinity()), beyond);
  EXPECT_EQ(codec().encode(-std::numeric_limits<float>::infinity()), beyond | d.sign_bit());
}

TEST_P(FloatCodec, NanStaysNan) {
  for (const float nan : {std::bit_cast<float>(0x7fc00000U), std::bit_cast<float>(0x7f800001U),
                          std::bit_cast<float>(0xffc00000U), std::bit_cast<float>(0xff800001U)})
    EXPECT_TRUE(std::isnan(codec().decode(codec().encode(nan))));
}

TEST_P(FloatCodec, ZeroAndTheSmallestFloatsKeepTheirSign) {
  const float tiny = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(codec().encode(0.0F), 0U);
  EXPECT_EQ(codec().encode(-0.0F), codec().definition.sign_bit());
  EXPECT_EQ(codec().encode(tiny), 0U);
  EXPECT_EQ(codec().encode(-tiny), codec().definition.sign_bit());
}

INSTANTIATE_TEST_SUITE_P(All, FloatCodec, ::testing::Range<std::size_t>(0, 4),
                         [](const auto& which) {
                           return std::string(codecs()[which.param].definition.name);
                         });

// Every bf16 value as input, against a search through all codes for the nearest.
TEST(Fp8, NearestByExhaustiveSearch) {
  for (const std::size_t which : {0U, 1U}) {
    const Codec& codec = codecs()[which];
    const std::uint32_t max_code = codec.definition.max_code();
    for (std::uint32_t bits = 0; bits < 0x7f80; ++bits) {
      const float input = bf16_to_f32(static_cast<std::uint16_t>(bits));
      if (input > 2 * codec.definition.value(max_code)) break;  // distances are exact up to here
      std::uint32_t best = 0;
      for (std::uint32_t code = 1; code <= max_code; ++code) {
        const double closer = std::abs(codec.definition.value(code) - input) -
                              std::abs(codec.definition.value(best) - input);
        if (closer < 0 || (closer == 0 && code % 2 == 0)) best = code;
      }
      ASSERT_EQ(codec.encode(input), best) << codec.definition.name << " " << input;
    }
  }
}

TEST(E8M0, EveryCodeIsItsPowerOfTwo) {
  for (int code = 0; code < 255; ++code)
    EXPECT_EQ(static_cast<double>(e8m0_to_f32(static_cast<std::uint8_t>(code))),
              std::ldexp(1.0, code - 127));
  EXPECT_TRUE(std::isnan(e8m0_to_f32(255)));
}

TEST(Limits, AreTheLargestFiniteValues) {
  EXPECT_EQ(kE4M3Max, kE4M3.value(kE4M3.max_code()));
  EXPECT_EQ(kE5M2Max, kE5M2.value(kE5M2.max_code()));
  EXPECT_EQ(kE4M3MaxGaudi2, kE4M3.value(0x77));
}

}  // namespace
}  // namespace whit::numeric
