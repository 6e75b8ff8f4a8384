#include "data/row_order.h"

#include <gtest/gtest.h>

#include <numeric>

#include "data/place_index.h"

namespace whit::data {
namespace {

TEST(RowOrder, FollowedBackIsTheShuffle) {
  for (const std::uint64_t count : {2ULL, 9ULL, 1000ULL, 20000ULL, 50000ULL}) {
    std::vector<std::uint64_t> shuffled(count);
    std::iota(shuffled.begin(), shuffled.end(), std::uint64_t{0});
    Random plain(count);
    plain.shuffle(shuffled);

    Random traced(count);
    RowOrder order(count, traced, 1);
    EXPECT_EQ(traced.state(), plain.state());
    // Further and further, so that the part followed back grows.
    for (std::uint64_t i = 0; i < count; ++i) ASSERT_EQ(order.at(i), shuffled[i]) << i;

    Random whole(count);
    RowOrder at_once(count, whole, count);
    EXPECT_EQ(whole.state(), plain.state());
    EXPECT_EQ(at_once.at(count - 1), shuffled.back());
  }
}

TEST(PlaceIndex, FindsThePlaceBeforeARow) {
  PlaceIndex index(8);
  for (std::uint64_t row = 0; row < 1000; ++row) index.add(row * 10, row + 1);
  EXPECT_EQ(index.count(), 1000U);
  for (std::uint64_t row = 0; row < 1000; ++row) {
    const auto& place = index.before(row);
    EXPECT_LE(place.row, row);
    EXPECT_LT(row - place.row, 256U);
    EXPECT_EQ(place.begin, place.row * 10);
    EXPECT_EQ(place.line, place.row + 1);
  }
}

}  // namespace
}  // namespace whit::data
