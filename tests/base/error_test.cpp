#include "base/error.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "base/checked.h"

namespace whit::base {
namespace {

TEST(Error, CarriesKindSubjectDetailContextAndSuggestion) {
  try {
    try {
      fail(ErrorKind::kInput, "model.safetensors", "{} bytes; expected {}", 7, 8);
    } catch (Error& error) {
      error.add_context("reading layer 3").add_context("of demo").suggest("download it again");
      throw;
    }
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInput);
    EXPECT_EQ(error.subject(), "model.safetensors");
    EXPECT_EQ(error.detail(), "7 bytes; expected 8");
    EXPECT_STREQ(error.what(), "model.safetensors: 7 bytes; expected 8");
    EXPECT_EQ(error.context(), (std::vector<std::string>{"reading layer 3", "of demo"}));
    EXPECT_EQ(error.suggestion(), "download it again");
  }
}

TEST(Error, KindsAreTheExitCodesOfTheCommandLine) {
  EXPECT_EQ(static_cast<int>(ErrorKind::kBug), 1);
  EXPECT_EQ(static_cast<int>(ErrorKind::kUsage), 2);
  EXPECT_EQ(static_cast<int>(ErrorKind::kInput), 3);
  EXPECT_EQ(static_cast<int>(ErrorKind::kUnsupported), 4);
  EXPECT_EQ(static_cast<int>(ErrorKind::kResource), 5);
  EXPECT_EQ(static_cast<int>(ErrorKind::kCheck), 6);
  EXPECT_EQ(static_cast<int>(ErrorKind::kInterrupted), 130);
}

TEST(Check, ABrokenInvariantIsABugAndSaysWhere) {
  EXPECT_NO_THROW(check(true, "fine"));
  try {
    check(false, "rows agree");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBug);
    EXPECT_NE(error.subject().find("error_test.cpp:"), std::string::npos);
    EXPECT_NE(error.detail().find("rows agree"), std::string::npos);
  }
}

TEST(Checked, OverflowGivesNothing) {
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(checked_mul<std::int64_t>(1LL << 31, 1LL << 31), 1LL << 62);
  EXPECT_EQ(checked_mul<std::int64_t>(1LL << 32, 1LL << 31), std::nullopt);
  EXPECT_EQ(checked_mul<std::int64_t>(-1, std::numeric_limits<std::int64_t>::min()), std::nullopt);
  EXPECT_EQ(checked_add<std::int64_t>(kMax, 0), kMax);
  EXPECT_EQ(checked_add<std::int64_t>(kMax, 1), std::nullopt);
  EXPECT_EQ(checked_add<std::uint64_t>(~0ULL, 1), std::nullopt);
}

TEST(Checked, CeilDivAndRoundUp) {
  EXPECT_EQ(ceil_div(0, 128), 0);
  EXPECT_EQ(ceil_div(128, 128), 1);
  EXPECT_EQ(ceil_div(129, 128), 2);
  EXPECT_EQ(round_up(129, 64), 192);
  EXPECT_EQ(round_up(192, 64), 192);
}

}  // namespace
}  // namespace whit::base
