#include <gtest/gtest.h>

#include <cmath>

#include "quant/fp8_scale.h"

namespace whit::quant {
namespace {

using scheme::Fp8Device;
using scheme::Fp8Format;
using scheme::Fp8Target;
constexpr Fp8Target kGaudi2{Fp8Format::kE4M3, Fp8Device::kGaudi2};
constexpr Fp8Target kGaudi3{Fp8Format::kE4M3, Fp8Device::kGaudi3};

struct Coded {
  float value;
  int e4m3, gaudi2, e5m2;
};

TEST(Fp8Codes, Codes) {
  const float u = std::ldexp(1.0F, -9);
  const std::vector<Coded> cases{{0.0F, 0x00, 0x00, 0x00},      {-0.0F, 0x80, 0x80, 0x80},
                                 {u / 2, 0x00, 0x00, 0x14},     {u / 2 * 1.0001F, 0x01, 0x01, 0x14},
                                 {1.5F * u, 0x02, 0x02, 0x1A},  {2.5F * u, 0x02, 0x02, 0x1D},
                                 {7.5F * u, 0x08, 0x08, 0x24},  {0.1F, 0x1D, 0x1D, 0x2E},
                                 {0.3F, 0x2A, 0x2A, 0x35},      {1.0625F, 0x38, 0x38, 0x3C},
                                 {1.1875F, 0x3A, 0x3A, 0x3D},   {3.3F, 0x45, 0x45, 0x43},
                                 {17, 0x58, 0x58, 0x4C},        {19, 0x5A, 0x5A, 0x4D},
                                 {232, 0x76, 0x76, 0x5B},       {240, 0x77, 0x77, 0x5C},
                                 {248, 0x78, 0x77, 0x5C},       {432, 0x7E, 0x77, 0x5F},
                                 {464, 0x7E, 0x77, 0x5F},       {480, 0x7E, 0x77, 0x60},
                                 {1000, 0x7E, 0x77, 0x64},      {-500, 0xFE, 0xF7, 0xE0},
                                 {1e6F, 0x7E, 0x77, 0x7B},      {61440, 0x7E, 0x77, 0x7B},
                                 {HUGE_VALF, 0x7E, 0x77, 0x7B}, {-HUGE_VALF, 0xFE, 0xF7, 0xFB}};
  const Fp8Target e5m2{Fp8Format::kE5M2, Fp8Device::kGaudi3};
  for (const auto& [value, e4m3, gaudi2, wide] : cases) {
    EXPECT_EQ(encode_fp8(value, kGaudi3), e4m3) << value;
    EXPECT_EQ(encode_fp8(value, kGaudi2), gaudi2) << value;
    EXPECT_EQ(encode_fp8(value, e5m2), wide) << value;
  }
  EXPECT_EQ(decode_fp8(0x43, Fp8Format::kE5M2), 3.5F);
  EXPECT_TRUE(std::isnan(decode_fp8(encode_fp8(std::nanf(""), kGaudi2), Fp8Format::kE4M3)));
}

// Halving for Gaudi2: all codes but the odd ones up to 0x0F are halved without loss.
TEST(Fp8Codes, HalvedCodes) {
  const auto halved = [](int code) {
    return encode_fp8(decode_fp8(static_cast<std::uint8_t>(code), Fp8Format::kE4M3) / 2, kGaudi2);
  };
  const std::vector<std::pair<int, int>> cases{
      {0x7E, 0x76}, {0x77, 0x6F}, {0x02, 0x01}, {0x10, 0x08}, {0x08, 0x04},
      {0x01, 0x00}, {0x03, 0x02}, {0x05, 0x02}, {0x07, 0x04}, {0x09, 0x04},
      {0x0B, 0x06}, {0x0F, 0x08}, {0x83, 0x82}};
  for (const auto& [code, half] : cases) EXPECT_EQ(halved(code), half) << code;
  int lossy = 0;
  for (int code = 0; code < 256; ++code) {
    if ((code & 0x7F) == 0x7F) continue;
    const float value = decode_fp8(static_cast<std::uint8_t>(code), Fp8Format::kE4M3);
    if (decode_fp8(halved(code), Fp8Format::kE4M3) * 2 != value) {
      ++lossy;
      EXPECT_TRUE((code & 0x7F) <= 0x0F && (code & 1) == 1) << code;
    }
  }
  EXPECT_EQ(lossy, 16);
}

TEST(Fp8Codes, ALinearEndToEnd) {
  const std::vector<float> x{1.5F, -60, 0.3F, 200};
  const std::vector<float> w{0.25F, -0.1F, 0.46875F, 0.02F};
  const std::vector<float> x_codes{1.5F, -60, 0.3125F, 192};
  const std::vector<float> w_codes{64, -26, 120, 5};
  const float w_scale = std::ldexp(1.0F, -8);
  float sum = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const float qx = decode_fp8(encode_fp8(x[i], kGaudi2), Fp8Format::kE4M3);
    const float qw = decode_fp8(encode_fp8(w[i] / w_scale, kGaudi2), Fp8Format::kE4M3);
    EXPECT_EQ(qx, x_codes[i]);
    EXPECT_EQ(qw, w_codes[i]);
    sum += qx * qw;
  }
  EXPECT_EQ(sum, 2653.5F);
  EXPECT_EQ(sum * w_scale, 10.365234375F);
}

TEST(Fp8Codes, HeadroomAboveTheCalibratedMaximum) {
  const auto served = [](float x, const Fp8Target& target) {
    const auto& scaling = scheme::find_scale_method("MAXABS_HW")->method.activation;
    const auto scale = static_cast<float>(tensor_scale(1.0, {scaling, target}));
    return decode_fp8(encode_fp8(x / scale, target), target.format) * scale;
  };
  EXPECT_EQ(served(14.9F, kGaudi2), 15);
  EXPECT_EQ(served(16, kGaudi2), 15);
  EXPECT_EQ(served(100, kGaudi2), 15);
  EXPECT_EQ(served(4, kGaudi3), 4);
  EXPECT_EQ(served(14.9F, kGaudi3), 7);
}

}  // namespace
}  // namespace whit::quant
