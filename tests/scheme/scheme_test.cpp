#include "scheme/scheme.h"

#include <gtest/gtest.h>

#include <cstring>

namespace whit::scheme {
namespace {

using tensor::Dtype;
using tensor::Tensor;

template <typename T>
Tensor filled(tensor::Shape shape, Dtype dtype, const std::vector<T>& values) {
  Tensor t(std::move(shape), dtype);
  EXPECT_EQ(t.bytes(), values.size() * sizeof(T));
  std::memcpy(t.data(), values.data(), values.size() * sizeof(T));
  return t;
}

std::vector<float> values_of(const QuantizedWeight& weight) {
  return tensor::to_f32_vector(decode(weight).view());
}

TEST(Strategy, NamesReadBack) {
  for (int i = 0; i <= static_cast<int>(Strategy::kAttnHead); ++i) {
    const auto strategy = static_cast<Strategy>(i);
    EXPECT_EQ(strategy_from_name(name_of(strategy)), strategy);
  }
  EXPECT_EQ(name_of(Strategy::kTensorGroup), "tensor_group");
  EXPECT_EQ(strategy_from_name("groups"), std::nullopt);
}

TEST(QuantArgs, GroupsOfARow) {
  QuantArgs args;
  args.group_size = 128;
  EXPECT_EQ(args.groups(256), 2);
  EXPECT_EQ(args.groups(300), 3);
  args.group_size = 0;
  EXPECT_EQ(args.groups(300), 1);
}

TEST(CodeRange, IsSigned) {
  EXPECT_EQ(code_min(4), -8);
  EXPECT_EQ(code_max(4), 7);
  EXPECT_EQ(code_min(8), -128);
  EXPECT_EQ(code_max(8), 127);
  EXPECT_EQ(code_min(2), -2);
}

TEST(Decode, SymmetricGroups) {
  GroupedInt w;
  w.group_size = 2;
  w.codes = filled<std::int8_t>({2, 4}, Dtype::kI8, {-8, 7, 1, 0, 3, -3, 2, -1});
  w.scales = filled<float>({2, 2}, Dtype::kF32, {0.5F, 2.0F, 0.25F, 1.0F});
  EXPECT_TRUE(w.symmetric());
  EXPECT_EQ(values_of(std::move(w)), (std::vector<float>{-4, 3.5F, 2, 0, 0.75F, -0.75F, 2, -1}));
}

TEST(Decode, AsymmetricGroupsSubtractTheZero) {
  GroupedInt w;
  w.group_size = 2;
  w.codes = filled<std::int8_t>({1, 4}, Dtype::kI8, {-8, 7, 1, 0});
  w.scales = filled<float>({1, 2}, Dtype::kF32, {0.5F, 2.0F});
  w.zeros = filled<std::int8_t>({1, 2}, Dtype::kI8, {-8, 3});
  EXPECT_FALSE(w.symmetric());
  EXPECT_EQ(values_of(std::move(w)), (std::vector<float>{0, 7.5F, -4, -6}));
}

TEST(Decode, TheFullRangeOfEightBits) {
  GroupedInt w;
  w.bits = 8;
  w.group_size = 2;
  w.codes = filled<std::int8_t>({1, 2}, Dtype::kI8, {-128, 127});
  w.scales = filled<float>({1, 1}, Dtype::kF32, {1.0F});
  w.zeros = filled<std::int8_t>({1, 1}, Dtype::kI8, {127});
  EXPECT_EQ(values_of(std::move(w)), (std::vector<float>{-255, 0}));
}

TEST(Decode, ARaggedLastGroupHasItsOwnScale) {
  GroupedInt w;
  w.group_size = 2;
  w.codes = filled<std::int8_t>({1, 3}, Dtype::kI8, {1, 1, 1});
  w.scales = filled<float>({1, 2}, Dtype::kF32, {2.0F, 3.0F});
  EXPECT_EQ(values_of(std::move(w)), (std::vector<float>{2, 2, 3}));
}

TEST(Decode, Fp8BlocksWithRaggedEdges) {
  ScaledFloat8 w;
  w.block_rows = 2;
  w.block_cols = 2;
  // 0x38 is 1.0, 0xc0 is -2.0, 0x7e is 448 in E4M3.
  w.codes = filled<std::uint8_t>({3, 3}, Dtype::kF8E4M3,
                                 {0x38, 0x38, 0xc0, 0x38, 0xc0, 0x38, 0x7e, 0x38, 0xc0});
  w.scales = filled<float>({2, 2}, Dtype::kF32, {1.0F, 10.0F, 0.5F, 4.0F});
  const QuantizedWeight weight = std::move(w);
  EXPECT_EQ(rows_of(weight), 3);
  EXPECT_EQ(cols_of(weight), 3);
  EXPECT_EQ(values_of(weight), (std::vector<float>{1, 1, -20, 1, -2, 10, 224, 0.5F, -8}));
}

TEST(Decode, Fp8ByChannelInE5M2) {
  ScaledFloat8 w;
  w.strategy = Strategy::kChannel;
  w.block_rows = 1;
  w.block_cols = 2;
  w.codes = filled<std::uint8_t>({2, 2}, Dtype::kF8E5M2, {0x3c, 0xc0, 0x3c, 0xc0});
  w.scales = filled<float>({2, 1}, Dtype::kF32, {1.0F, 3.0F});
  EXPECT_EQ(values_of(std::move(w)), (std::vector<float>{1, -2, 3, -6}));
}

}  // namespace
}  // namespace whit::scheme
