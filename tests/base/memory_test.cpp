#include "base/memory.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"

namespace whit::base {
namespace {

TEST(ParseBytes, ReadsNumbersWithUnits) {
  EXPECT_EQ(parse_bytes("1048576", "--max-memory"), 1048576U);
  EXPECT_EQ(parse_bytes("8GiB", "--max-memory"), 8ULL << 30);
  EXPECT_EQ(parse_bytes("512 MiB", "--max-memory"), 512ULL << 20);
  EXPECT_EQ(parse_bytes("1.5GB", "--max-memory"), 1'500'000'000U);
  EXPECT_EQ(parse_bytes("0.5kib", "--max-memory"), 512U);
  EXPECT_EQ(parse_bytes("3KB", "--max-memory"), 3000U);
  EXPECT_EQ(parse_bytes("2TiB", "--max-memory"), 2ULL << 40);
  EXPECT_EQ(parse_bytes("17B", "--max-memory"), 17U);
}

TEST(ParseBytes, RefusesWhatIsNoSize) {
  for (const char* text : {"", "GiB", "-1", "0", "0GiB", "1XB", "1e300", "nan", "inf", "8GiBs",
                           "1 2", "0x10", "9999999999TiB"}) {
    try {
      parse_bytes(text, "--max-memory");
      ADD_FAILURE() << "'" << text << "' was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_EQ(error.subject(), "--max-memory");
    }
  }
}

TEST(FormatBytes, PicksTheUnit) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(format_bytes(8ULL << 30), "8.0 GiB");
  EXPECT_EQ(format_bytes(5000ULL << 40), "5000.0 TiB");
}

TEST(ResidentBytes, GrowsByWhatIsTouched) {
  const std::uint64_t before = resident_bytes();
  ASSERT_GT(before, 0U);
  const std::vector<char> touched(64 << 20, 1);
  EXPECT_GE(resident_bytes(), before + (60 << 20));
  EXPECT_GE(peak_resident_bytes(), before + (60 << 20));
  EXPECT_EQ(touched.back(), 1);
}

TEST(AvailableMemory, IsKnown) {
  EXPECT_GT(available_memory_bytes(), 1U << 20);
}

}  // namespace
}  // namespace whit::base
