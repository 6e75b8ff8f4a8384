#include "eval/windows.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace whit::eval {
namespace {

const Window kText{10, 11, 12, 13, 14, 15, 16};

TEST(Windows, BosOnceStandsBeforeTheText) {
  const auto windows = cut_windows(kText, 1, {4, 0, BosMode::kOnce});
  ASSERT_EQ(windows.size(), 2U);
  EXPECT_EQ(windows[0], (Window{1, 10, 11, 12}));
  EXPECT_EQ(windows[1], (Window{13, 14, 15, 16}));
}

TEST(Windows, BosInEachWindowCountsInItsLength) {
  const auto windows = cut_windows(kText, 1, {4, 0, BosMode::kWindow});
  ASSERT_EQ(windows.size(), 2U);
  EXPECT_EQ(windows[0], (Window{1, 10, 11, 12}));
  EXPECT_EQ(windows[1], (Window{1, 13, 14, 15}));
}

TEST(Windows, WithoutBosTheTokenIsNotNeeded) {
  const auto windows = cut_windows(kText, std::nullopt, {3, 0, BosMode::kNever});
  ASSERT_EQ(windows.size(), 2U);
  EXPECT_EQ(windows[1], (Window{13, 14, 15}));
}

TEST(Windows, TheLimitCountsBosAndLeavesWholeWindows) {
  EXPECT_EQ(cut_windows(kText, 1, {4, 7, BosMode::kOnce}).size(), 1U);
  EXPECT_EQ(cut_windows(kText, 1, {4, 8, BosMode::kOnce}).size(), 2U);
  EXPECT_EQ(cut_windows(kText, 1, {4, 7, BosMode::kWindow}).size(), 1U);
  EXPECT_EQ(cut_windows(kText, 1, {4, 8, BosMode::kWindow}).size(), 2U);
}

TEST(Windows, AShortTextIsOneShortWindow) {
  const auto windows = cut_windows(kText, 1, {512, 0, BosMode::kOnce});
  ASSERT_EQ(windows.size(), 1U);
  EXPECT_EQ(windows[0].size(), 8U);
  EXPECT_EQ(cut_windows(kText, 1, {512, 3, BosMode::kOnce})[0].size(), 3U);
}

TEST(Windows, RefusesWhatCannotBeScored) {
  EXPECT_THROW(cut_windows(kText, 1, {1, 0, BosMode::kNever}), base::Error);
  EXPECT_THROW(cut_windows(kText, std::nullopt, {4, 0, BosMode::kOnce}), base::Error);
  EXPECT_THROW(cut_windows({}, 1, {4, 0, BosMode::kOnce}), base::Error);
  EXPECT_THROW(cut_windows({}, 1, {4, 0, BosMode::kNever}), base::Error);
}

}  // namespace
}  // namespace whit::eval
