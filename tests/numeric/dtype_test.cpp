#include "numeric/dtype.h"

#include <gtest/gtest.h>

#include <set>
#include <string_view>

namespace whit::numeric {
namespace {

constexpr int kDtypes = static_cast<int>(Dtype::kF4E2M1) + 1;

TEST(Dtype, NamesAreDistinctAndReadBack) {
  std::set<std::string_view> names;
  for (int i = 0; i < kDtypes; ++i) {
    const auto dtype = static_cast<Dtype>(i);
    names.insert(name_of(dtype));
    EXPECT_EQ(dtype_from_name(name_of(dtype)), dtype);
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(kDtypes));
  for (const std::string_view unknown : {"", "f32", "F8", "F8_E4M3FN", "F32 "})
    EXPECT_EQ(dtype_from_name(unknown), std::nullopt) << unknown;
}

TEST(Dtype, BitsAndKind) {
  EXPECT_EQ(bits_of(Dtype::kF4E2M1), 4);
  EXPECT_EQ(bits_of(Dtype::kF8E4M3), 8);
  EXPECT_EQ(bits_of(Dtype::kBF16), 16);
  EXPECT_EQ(bits_of(Dtype::kI32), 32);
  EXPECT_EQ(bits_of(Dtype::kF64), 64);
  EXPECT_TRUE(is_floating(Dtype::kF8E8M0));
  EXPECT_TRUE(is_floating(Dtype::kF16));
  EXPECT_FALSE(is_floating(Dtype::kBool));
  EXPECT_FALSE(is_floating(Dtype::kI64));
}

}  // namespace
}  // namespace whit::numeric
