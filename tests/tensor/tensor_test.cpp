#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tensor/rounded.h"

namespace whit::tensor {
namespace {

TEST(Shape, CountsAndSpells) {
  EXPECT_EQ(element_count({}), 1);
  EXPECT_EQ(element_count({2, 3, 4}), 24);
  EXPECT_EQ(element_count({2, 0, 4}), 0);
  EXPECT_EQ(to_string(Shape{2048, 7168}), "[2048, 7168]");
  EXPECT_EQ(to_string(Shape{}), "[]");
}

TEST(ByteSize, OfEveryWidth) {
  EXPECT_EQ(byte_size({3, 5}, Dtype::kF32), 60U);
  EXPECT_EQ(byte_size({3, 5}, Dtype::kF8E4M3), 15U);
  EXPECT_EQ(byte_size({3, 5}, Dtype::kF4E2M1), 8U);
  EXPECT_EQ(byte_size({}, Dtype::kF64), 8U);
  EXPECT_EQ(byte_size({1LL << 40, 0}, Dtype::kF32), 0U);
}

TEST(ByteSize, RefusesShapesThatDoNotFit) {
  for (const Shape& shape : {Shape{-1}, Shape{4, -2}, Shape{0, -1}, Shape{1LL << 62, 4},
                             Shape{1LL << 31, 1LL << 31, 2}, Shape{1LL << 62}}) {
    try {
      byte_size(shape, Dtype::kF32, "layer.weight");
      ADD_FAILURE() << to_string(shape);
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kInput);
      EXPECT_EQ(error.subject(), "layer.weight");
    }
  }
}

TEST(Tensor, StartsZeroedAndAligned) {
  const Tensor t({3, 5}, Dtype::kF32);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(t.data()) % 64, 0U);
  for (int i = 0; i < 15; ++i) EXPECT_EQ(t.as<float>()[i], 0.0F);
  EXPECT_EQ(t.bytes(), 60U);
  EXPECT_EQ(t.device(), Device{});
}

TEST(Tensor, IsEmptyOnlyWithoutMemory) {
  EXPECT_TRUE(Tensor().empty());
  EXPECT_FALSE(Tensor({0, 4}, Dtype::kF32).empty());
}

TEST(Tensor, MovesItsMemory) {
  Tensor a = make_f32({2}, std::vector<float>{1, 2});
  const std::byte* data = a.data();
  Tensor b(std::move(a));
  EXPECT_EQ(b.data(), data);
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move)
  Tensor c;
  c = std::move(b);
  EXPECT_EQ(c.data(), data);
  EXPECT_EQ(c.shape(), Shape{2});
}

TEST(Tensor, GivesBackABackendsMemoryOnce) {
  int released = 0;
  std::vector<float> memory(4, 7.0F);
  {
    const Tensor t({4}, Dtype::kF32, reinterpret_cast<std::byte*>(memory.data()),
                   {Device::Kind::kCuda, 1},
                   Tensor::Release(memory.data(), [&](void*) { ++released; }));
    EXPECT_EQ(t.device().ordinal, 1);
    EXPECT_EQ(released, 0);
  }
  EXPECT_EQ(released, 1);
}

TEST(Tensor, TooMuchMemoryIsAResourceError) {
#ifdef WHIT_SANITIZED
  GTEST_SKIP() << "a sanitizer's allocator ends the program instead";
#else
  try {
    Tensor({1LL << 58}, Dtype::kU8);
    FAIL() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kResource);
  }
#endif
}

TEST(Matrix, FoldsLeadingExtents) {
  Tensor t({2, 3, 4}, Dtype::kF32);
  EXPECT_EQ(t.matrix().rows, 6);
  EXPECT_EQ(t.matrix().cols, 4);
  EXPECT_EQ(as_matrix(Tensor({5}, Dtype::kF32).view()).rows, 1);
  EXPECT_EQ(as_matrix(Tensor({}, Dtype::kF32).view()).cols, 1);
  EXPECT_EQ(as_matrix(Tensor({4, 0}, Dtype::kF32).view()).rows, 0);
}

TEST(Matrix, SubViewsKeepTheStride) {
  std::vector<float> values(24);
  std::iota(values.begin(), values.end(), 0.0F);
  Tensor t = make_f32({4, 6}, values);
  const MatrixView sub = t.matrix().sub(1, 2, 2, 3);
  EXPECT_EQ(sub.stride, 6);
  EXPECT_EQ(sub.row<float>(0)[0], 8.0F);
  EXPECT_EQ(sub.row<float>(1)[2], 16.0F);
  sub.row<float>(1)[2] = -1;
  EXPECT_EQ(t.as<float>()[16], -1.0F);
  const ConstMatrixView below = sub.rows_of(1, 1);
  EXPECT_EQ(below.rows, 1);
  EXPECT_EQ(below.cols, 3);
  EXPECT_EQ(below.row<float>(0)[0], 14.0F);
}

template <typename T>
std::vector<float> decoded(Dtype dtype, std::vector<T> codes) {
  TensorView view{reinterpret_cast<const std::byte*>(codes.data()),
                  dtype,
                  {static_cast<std::int64_t>(codes.size())},
                  {}};
  return to_f32_vector(view);
}

TEST(ToF32, EveryElementType) {
  using Floats = std::vector<float>;
  EXPECT_EQ(decoded<float>(Dtype::kF32, {1.5F, -2}), (Floats{1.5F, -2}));
  EXPECT_EQ(decoded<double>(Dtype::kF64, {0.25}), Floats{0.25F});
  EXPECT_EQ(decoded<std::uint16_t>(Dtype::kBF16, {0x3fc0, 0xc000}), (Floats{1.5F, -2}));
  EXPECT_EQ(decoded<std::uint16_t>(Dtype::kF16, {0x3e00, 0xc000}), (Floats{1.5F, -2}));
  EXPECT_EQ(decoded<std::uint8_t>(Dtype::kF8E4M3, {0x3c, 0xc0}), (Floats{1.5F, -2}));
  EXPECT_EQ(decoded<std::uint8_t>(Dtype::kF8E5M2, {0x3e, 0xc0}), (Floats{1.5F, -2}));
  EXPECT_EQ(decoded<std::uint8_t>(Dtype::kF8E8M0, {127, 129}), (Floats{1, 4}));
  EXPECT_EQ(decoded<std::uint8_t>(Dtype::kBool, {0, 1}), (Floats{0, 1}));
  EXPECT_EQ(decoded<std::uint8_t>(Dtype::kU8, {200}), Floats{200});
  EXPECT_EQ(decoded<std::int8_t>(Dtype::kI8, {-8, 7}), (Floats{-8, 7}));
  EXPECT_EQ(decoded<std::uint16_t>(Dtype::kU16, {60000}), Floats{60000});
  EXPECT_EQ(decoded<std::int16_t>(Dtype::kI16, {-300}), Floats{-300});
  EXPECT_EQ(decoded<std::uint32_t>(Dtype::kU32, {1U << 31}), Floats{2147483648.0F});
  EXPECT_EQ(decoded<std::int32_t>(Dtype::kI32, {-70000}), Floats{-70000});
  EXPECT_EQ(decoded<std::uint64_t>(Dtype::kU64, {1ULL << 40}), Floats{0x1p40F});
  EXPECT_EQ(decoded<std::int64_t>(Dtype::kI64, {-(1LL << 40)}), Floats{-0x1p40F});
}

TEST(ToF32, PackedFp4IsRefused) {
  const std::byte code{0x21};
  EXPECT_THROW(to_f32_vector({&code, Dtype::kF4E2M1, {2}, {}}), base::Error);
}

TEST(MakeRounded, RoundsHalvesToEven) {
  using Floats = std::vector<float>;
  const Floats values{1.5F, 1 + 0x1p-8F, 1 + 3 * 0x1p-8F, 1 + 0x1p-11F, -2};
  const auto rounded = [&](Dtype dtype) {
    return to_f32_vector(make_rounded({5}, values, dtype).view());
  };
  EXPECT_EQ(rounded(Dtype::kF32), values);
  EXPECT_EQ(rounded(Dtype::kBF16), (Floats{1.5F, 1, 1 + 0x1p-6F, 1, -2}));
  EXPECT_EQ(rounded(Dtype::kF16), (Floats{1.5F, values[1], values[2], 1, -2}));
  EXPECT_THROW(make_rounded({5}, values, Dtype::kI8), base::Error);
}

}  // namespace
}  // namespace whit::tensor
