#include "runtime/stop_scanner.h"

#include <gtest/gtest.h>

namespace whit::runtime {
namespace {

TEST(StopScanner, WithoutStopsEverythingPasses) {
  StopScanner scanner({});
  EXPECT_EQ(scanner.push("abc"), "abc");
  EXPECT_EQ(scanner.finish(), "");
  EXPECT_FALSE(scanner.stopped());
}

TEST(StopScanner, HoldsBackWhatMayBeginAStop) {
  StopScanner scanner({"END"});
  EXPECT_EQ(scanner.push("one E"), "one ");
  EXPECT_EQ(scanner.push("N"), "");
  EXPECT_EQ(scanner.push("ough"), "ENough");
  EXPECT_EQ(scanner.push("EEN"), "E");
  EXPECT_EQ(scanner.push("D and more"), "");
  EXPECT_TRUE(scanner.stopped());
  EXPECT_EQ(scanner.push("never"), "");
}

TEST(StopScanner, TheFirstStopWins) {
  StopScanner scanner({"xyz", "b"});
  EXPECT_EQ(scanner.push("aabxyz"), "aa");
  EXPECT_TRUE(scanner.stopped());
}

TEST(StopScanner, TheRestComesAtTheEnd) {
  StopScanner scanner({"\n\n"});
  EXPECT_EQ(scanner.push("a\n"), "a");
  EXPECT_EQ(scanner.finish(), "\n");
  EXPECT_FALSE(scanner.stopped());
}

}  // namespace
}  // namespace whit::runtime
