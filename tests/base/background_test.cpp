#include "base/background.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

namespace whit::base {
namespace {

TEST(Background, DoesAllInOrder) {
  std::vector<int> done;
  Background background(2);
  for (int i = 0; i < 50; ++i) background.post([&done, i] { done.push_back(i); });
  background.drain();
  ASSERT_EQ(done.size(), 50U);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(done[static_cast<std::size_t>(i)], i);
}

TEST(Background, FinishesWhatWasHandedOver) {
  std::atomic<int> done = 0;
  {
    Background background(100);
    for (int i = 0; i < 20; ++i) background.post([&done] { ++done; });
  }
  EXPECT_EQ(done, 20);
}

TEST(Background, PassesOnWhatATaskThrows) {
  Background background(1);
  std::atomic<bool> later = false;
  background.post([] { throw std::runtime_error("disk full"); });
  EXPECT_THROW(background.drain(), std::runtime_error);
  background.post([&later] { later = true; });
  background.drain();
  EXPECT_TRUE(later);
}

}  // namespace
}  // namespace whit::base
