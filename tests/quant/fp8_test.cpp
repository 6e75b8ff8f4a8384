#include "quant/fp8.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "numeric/float_codec.h"

namespace whit::quant {
namespace {

using scheme::Fp8Device;
using scheme::Fp8Format;
using scheme::ScaledFloat8;
using scheme::Strategy;
using tensor::Dtype;
using tensor::Tensor;

constexpr scheme::Fp8Target kGaudi2E4M3{Fp8Format::kE4M3, Fp8Device::kGaudi2};

std::vector<float> values_of(const ScaledFloat8& weight) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < weight.codes.elements(); ++i)
    values.push_back(numeric::e4m3_to_f32(weight.codes.as<std::uint8_t>()[i]));
  return values;
}

std::vector<float> scales_of(const ScaledFloat8& weight) {
  return tensor::to_f32_vector(weight.scales.view());
}

class Fp8 : public ::testing::Test {
 protected:
  ScaledFloat8 quantize(const Tensor& w, const Fp8WeightArgs& args,
                        std::optional<float> amax = std::nullopt) {
    return fp8(*backend_, w.matrix(), args, amax);
  }
  void expect_scales(const ScaledFloat8& weight, const std::vector<float>& expected) {
    const auto scales = scales_of(weight);
    ASSERT_EQ(scales.size(), expected.size());
    for (std::size_t i = 0; i < scales.size(); ++i)
      EXPECT_NEAR(scales[i], expected[i], 1e-6F * expected[i]);
  }

  std::unique_ptr<compute::Backend> backend_ = compute::make_cpu_backend(2);
};

// Blocks of 2 x 2, decoded in fp32, as channels: the worked case of block-to-channel conversion.
Tensor decoded_blocks() {
  return tensor::make_f32(
      {4, 4}, std::vector<float>{.448F, -.224F, .032F, .016F, .112F, .056F, -.008F, .004F, .01F,
                                 -.02F, .0015F, .002F, .005F, .0025F, -.0000625F, .224F});
}

// The codes and the grid of 2 x 2 blocks that those numbers are.
TEST_F(Fp8, StoredBlocksDecodeInFp32) {
  const std::vector<float> numbers{448, -224, 16, 8, 112, 56,   -4,     2,
                                   1,   -2,   3,  4, .5,  .25F, -.125F, 448};
  ScaledFloat8 stored;
  stored.strategy = Strategy::kBlock;
  stored.block_rows = stored.block_cols = 2;
  stored.codes = Tensor({4, 4}, Dtype::kF8E4M3);
  for (std::size_t i = 0; i < numbers.size(); ++i)
    stored.codes.as<std::uint8_t>()[i] = encode_fp8(numbers[i], {});
  stored.scales = tensor::make_f32({2, 2}, std::vector<float>{.001F, .002F, .01F, .0005F});
  const Tensor decoded = scheme::decode(scheme::QuantizedWeight(std::move(stored)));
  const Tensor expected = decoded_blocks();
  for (std::int64_t i = 0; i < 16; ++i)
    EXPECT_FLOAT_EQ(decoded.as<float>()[i], expected.as<float>()[i]) << i;
  // A scale of inputs for codes to 448, for codes to 240: the same maximum.
  EXPECT_FLOAT_EQ(fp8_activation_scale(.01F * 448, {}, kGaudi2E4M3), .0186666667F);
}

TEST_F(Fp8, BlocksBecomeChannels) {
  const ScaledFloat8 w = quantize(decoded_blocks(), {});
  EXPECT_EQ(w.strategy, Strategy::kChannel);
  expect_scales(w, {.001F, .00025F, 4.46428571e-05F, .0005F});
  EXPECT_EQ(values_of(w), (std::vector<float>{448, -224, 32, 16, 448, 224, -32, 16, 224, -448, 32,
                                              44, 10, 5, -.125F, 448}));
}

TEST_F(Fp8, BlocksBecomeGaudi2sChannels) {
  Fp8WeightArgs args;
  args.target = kGaudi2E4M3;
  const ScaledFloat8 w = quantize(decoded_blocks(), args);
  expect_scales(w, {.00186666667F, .000466666667F, 8.33333333e-05F, .000933333333F});
  EXPECT_EQ(values_of(w), (std::vector<float>{240, -120, 18, 9, 240, 120, -18, 9, 120, -240, 18, 24,
                                              5.5F, 2.75F, -.0703125F, 240}));
}

TEST_F(Fp8, AChannelOfZerosHasAScale) {
  const ScaledFloat8 w = quantize(tensor::make_f32({2, 2}, std::vector<float>{0, 0, 1, 2}), {});
  EXPECT_EQ(scales_of(w)[0], scheme::kZeroFloat8Scale);
  EXPECT_EQ(values_of(w), (std::vector<float>{0, 0, 224, 448}));
}

TEST_F(Fp8, RaggedBlocksAndSharedMaxima) {
  Fp8WeightArgs args{Strategy::kBlock, 2, 2};
  Tensor w({3, 5}, Dtype::kF32);
  for (int i = 0; i < 15; ++i) w.as<float>()[i] = static_cast<float>(i + 1);
  const ScaledFloat8 blocks = quantize(w, args);
  EXPECT_EQ(blocks.scales.shape(), (tensor::Shape{2, 3}));
  EXPECT_EQ(scales_of(blocks).back(), 15.0F / 448);
  args.strategy = Strategy::kTensor;
  EXPECT_EQ(scales_of(quantize(w, args)), (std::vector<float>{15.0F / 448}));
  EXPECT_EQ(scales_of(quantize(w, args, 30.0F)), (std::vector<float>{30.0F / 448}));
}

TEST_F(Fp8, NamedMethodsRoundScales) {
  Fp8WeightArgs args{Strategy::kTensor, 0, 0, kGaudi2E4M3,
                     scheme::find_scale_method("MAXABS_POW2")->method.weight};
  const Tensor w = tensor::make_f32({1, 2}, std::vector<float>{0.84765625F, 0.1F});
  EXPECT_EQ(scales_of(quantize(w, args)), (std::vector<float>{0.0078125F}));
  args.scaling = scheme::find_scale_method("MAXABS_HW")->method.weight;
  EXPECT_EQ(scales_of(quantize(w, args)), (std::vector<float>{0.0625F}));
  EXPECT_EQ(fp8_activation_scale(
                6.34375F, scheme::find_scale_method("MAXABS_POW2")->method.activation, kGaudi2E4M3),
            0.125F);
}

// The worked searches of the reference: by tensor over the device's scales, by channel over
// multiples of the power of two that covers the row.
TEST_F(Fp8, LeastErrorIsSearched) {
  Fp8WeightArgs args{Strategy::kTensor, 0, 0, kGaudi2E4M3,
                     scheme::find_scale_method("MAXABS_HW_OPT_WEIGHT")->method.weight};
  const std::vector<float> w{.5F,           -.30078125F,      .1201171875F,
                             .02001953125F, -.0076904296875F, .00099945068359375F};
  EXPECT_EQ(scales_of(quantize(tensor::make_f32({1, 6}, w), args)),
            (std::vector<float>{0.00390625F}));
  args.strategy = Strategy::kChannel;
  args.scaling = scheme::find_scale_method("ACT_MAXABS_POW2_WEIGHTS_PCS_OPT_POW2")->method.weight;
  const std::vector<float> rows{.5F,  -.30078125F, .1201171875F, .02001953125F,
                                3.0F, 1.0F,        -2.0F,        .10009765625F};
  EXPECT_EQ(scales_of(quantize(tensor::make_f32({2, 4}, rows), args)),
            (std::vector<float>{.00390625F, .015625F}));
}

TEST_F(Fp8, RefusesWhatIsNoNumber) {
  const Tensor w =
      tensor::make_f32({1, 2}, std::vector<float>{1, std::numeric_limits<float>::quiet_NaN()});
  EXPECT_THROW(quantize(w, {}), base::Error);
}

TEST_F(Fp8, HalvesForGaudi2) {
  ScaledFloat8 w;
  w.strategy = Strategy::kTensor;
  w.codes = Tensor({1, 256}, Dtype::kF8E4M3);
  for (int i = 0; i < 256; ++i) w.codes.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(i);
  w.codes.as<std::uint8_t>()[0x7f] = w.codes.as<std::uint8_t>()[0xff] = 0;
  w.scales = tensor::make_f32({1, 1}, std::vector<float>{.25F});
  const ScaledFloat8 half = halved_for_gaudi2(w);
  EXPECT_EQ(scales_of(half), (std::vector<float>{.5F}));
  const auto* codes = half.codes.as<std::uint8_t>();
  const std::vector<std::pair<int, int>> worked{
      {0x7e, 0x76}, {0x77, 0x6f}, {0x02, 0x01}, {0x10, 0x08}, {0x08, 0x04},
      {0x01, 0x00}, {0x03, 0x02}, {0x05, 0x02}, {0x07, 0x04}, {0x09, 0x04},
      {0x0b, 0x06}, {0x0f, 0x08}, {0x83, 0x82}};
  for (const auto& [from, to] : worked) EXPECT_EQ(codes[from], to) << from;
  int lost = 0;
  for (int i = 0; i < 256; ++i) {
    EXPECT_LE(codes[i] & 0x7f, 0x77);
    const auto code = w.codes.as<std::uint8_t>()[i];
    lost += 2 * numeric::e4m3_to_f32(codes[i]) != numeric::e4m3_to_f32(code) ? 1 : 0;
  }
  EXPECT_EQ(lost, 16);
}

}  // namespace
}  // namespace whit::quant
