#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "comm/communicator.h"

namespace whit::comm {
namespace {

Bytes bytes_of(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

TEST(Single, IsRankZeroOfOne) {
  const auto comm = make_single();
  EXPECT_EQ(comm->rank(), 0);
  EXPECT_EQ(comm->size(), 1);
  comm->barrier();
}

TEST(Single, ReductionsAndBroadcastsAreTheIdentity) {
  const auto comm = make_single();
  std::vector<float> values{1.5F, -2, 0};
  const std::vector<float> before = values;
  comm->reduce_to(0, values);
  EXPECT_EQ(values, before);
  comm->all_reduce(values);
  EXPECT_EQ(values, before);
  comm->broadcast(0, std::as_writable_bytes(std::span(values)));
  EXPECT_EQ(values, before);
}

TEST(Single, ExchangesWithItself) {
  const auto comm = make_single();
  EXPECT_EQ(comm->all_to_all_v({bytes_of("own")}),
            (std::vector<std::vector<std::byte>>{bytes_of("own")}));
  const auto text = bytes_of("piece");
  EXPECT_EQ(comm->gather_v(0, text), (std::vector<std::vector<std::byte>>{text}));
  EXPECT_EQ(comm->gather_v(0, {}), (std::vector<std::vector<std::byte>>{{}}));
}

TEST(Mpi, IsBuiltInOrRefusedWithTheWayToGetIt) {
  if (!mpi_library().empty()) GTEST_SKIP() << "built with " << mpi_library();
  EXPECT_THROW(make_mpi(), base::Error);
}

TEST(SingleDeathTest, AbortEndsTheProcessWithTheCode) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(make_single()->abort(5), ::testing::ExitedWithCode(5), "");
}

}  // namespace
}  // namespace whit::comm
