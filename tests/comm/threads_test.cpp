#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <string>
#include <thread>

#include "base/error.h"
#include "comm/communicator.h"

// The contract of Communicator, seen by several ranks at once.
namespace whit::comm {
namespace {

Bytes to_bytes(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::string to_text(const Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Runs `body` once a rank, each in a thread.
void on_ranks(int ranks, const std::function<void(Communicator&)>& body) {
  auto all = make_threads(ranks);
  std::vector<std::thread> threads;
  for (auto& comm : all) threads.emplace_back([&body, &comm] { body(*comm); });
  for (auto& thread : threads) thread.join();
}

class Ranks : public ::testing::TestWithParam<int> {};

TEST_P(Ranks, AreNumberedFromZero) {
  std::vector<int> seen(static_cast<std::size_t>(GetParam()));
  on_ranks(GetParam(), [&](Communicator& comm) {
    EXPECT_EQ(comm.size(), GetParam());
    EXPECT_EQ(comm.local_size(), GetParam());
    seen[static_cast<std::size_t>(comm.rank())] = comm.rank() + 1;
  });
  for (int rank = 0; rank < GetParam(); ++rank)
    EXPECT_EQ(seen[static_cast<std::size_t>(rank)], rank + 1);
}

TEST_P(Ranks, BroadcastGivesEveryoneTheRootsBytes) {
  on_ranks(GetParam(), [](Communicator& comm) {
    for (int root = 0; root < comm.size(); ++root) {
      Bytes bytes = to_bytes(comm.rank() == root ? "from the root" : ".............");
      comm.broadcast(root, bytes);
      EXPECT_EQ(to_text(bytes), "from the root");
      const Bytes own = to_bytes(std::string(static_cast<std::size_t>(comm.rank()), 'x'));
      EXPECT_EQ(comm.broadcast_v(root, own).size(), static_cast<std::size_t>(root));
    }
  });
}

TEST_P(Ranks, ExchangeBytesOfAnyLength) {
  on_ranks(GetParam(), [](Communicator& comm) {
    std::vector<Bytes> send;
    for (int to = 0; to < comm.size(); ++to)
      send.push_back(to_bytes(std::string(static_cast<std::size_t>(to), 'a') +
                              std::to_string(comm.rank()) + ">" + std::to_string(to)));
    const auto received = comm.all_to_all_v(std::move(send));
    ASSERT_EQ(received.size(), static_cast<std::size_t>(comm.size()));
    for (int from = 0; from < comm.size(); ++from)
      EXPECT_EQ(to_text(received[static_cast<std::size_t>(from)]),
                std::string(static_cast<std::size_t>(comm.rank()), 'a') + std::to_string(from) +
                    ">" + std::to_string(comm.rank()));
  });
}

TEST_P(Ranks, GatherInRankOrder) {
  on_ranks(GetParam(), [](Communicator& comm) {
    // Rank 0 has nothing to give.
    const Bytes own = to_bytes(std::string(static_cast<std::size_t>(comm.rank()), 'r'));
    for (int root = 0; root < comm.size(); ++root) {
      const auto gathered = comm.gather_v(root, own);
      EXPECT_EQ(gathered.size(), static_cast<std::size_t>(comm.rank() == root ? comm.size() : 0));
      for (std::size_t from = 0; from < gathered.size(); ++from)
        EXPECT_EQ(gathered[from].size(), from);
    }
    const auto all = comm.all_gather_v(own);
    ASSERT_EQ(all.size(), static_cast<std::size_t>(comm.size()));
    for (std::size_t from = 0; from < all.size(); ++from) EXPECT_EQ(all[from].size(), from);
  });
}

// 1e8 + 1 - 1e8 is 0 in fp32 in this order, and 1 in others.
TEST_P(Ranks, ReductionsAddInRankOrder) {
  on_ranks(GetParam(), [](Communicator& comm) {
    const float terms[] = {1e8F, 1.0F, -1e8F, 2.0F};
    float expected = 0;
    for (int rank = 0; rank < comm.size(); ++rank) expected += terms[rank % 4];
    std::vector<float> values{terms[comm.rank() % 4], static_cast<float>(comm.rank())};
    comm.all_reduce(values);
    EXPECT_EQ(values[0], expected);
    EXPECT_EQ(values[1], static_cast<float>(comm.size() * (comm.size() - 1) / 2));
    std::vector<float> at_last{1};
    comm.reduce_to(comm.size() - 1, at_last);
    EXPECT_EQ(at_last[0], comm.rank() == comm.size() - 1 ? static_cast<float>(comm.size()) : 1.0F);
  });
}

TEST_P(Ranks, OneThatAbortsEndsTheOthersAndIsNamed) {
  const int dying = GetParam() - 1;
  std::vector<std::string> errors(static_cast<std::size_t>(GetParam()));
  on_ranks(GetParam(), [&](Communicator& comm) {
    try {
      if (comm.rank() == dying) comm.abort(3);
      comm.barrier();
    } catch (const base::Error& error) {
      errors[static_cast<std::size_t>(comm.rank())] = error.what();
    }
  });
  for (const auto& error : errors)
    EXPECT_NE(error.find("rank " + std::to_string(dying)), std::string::npos) << error;
}

INSTANTIATE_TEST_SUITE_P(Threads, Ranks, ::testing::Values(1, 2, 3, 4));

}  // namespace
}  // namespace whit::comm
