#include "stats/ranges.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace whit::stats {
namespace {

OpRanges op(OpType type, std::vector<double> inputs, std::optional<double> output = {},
            std::optional<double> weight = {}) {
  OpRanges ranges;
  ranges.op = type;
  for (const double input : inputs) ranges.inputs.push_back({input});
  if (output) ranges.outputs = std::vector<Range>{{*output}};
  if (weight) ranges.params["weight"] = {*weight};
  return ranges;
}

struct Numbers {
  double q, k, hidden, out;
  std::vector<double> amax, w13;
};

RankRanges rank_of(int rank, int world, const Numbers& n) {
  RankRanges ranges;
  ranges.rank = rank;
  ranges.world = world;
  ranges.order = {"q", "k_cache", "moe"};
  ranges.ops["q"] = op(OpType::kLinear, {n.q}, {}, 1.0);
  ranges.ops["k_cache"] = op(OpType::kKvCache, {n.k});
  MoeRanges& moe = ranges.moes["moe"];
  moe.slices.push_back(op(OpType::kMoe, {n.hidden}, n.out));
  for (std::size_t e = 0; e < n.amax.size(); ++e) {
    ExpertRanges expert;
    expert.intermediate = Range{n.amax[e]};
    expert.matrices["w13_list"] = op(OpType::kLinear, {0}, {}, n.w13[e]);
    moe.experts.push_back(std::move(expert));
  }
  return ranges;
}

std::vector<RankRanges> four_ranks() {
  return {rank_of(0, 4, {1, 5, 8, .5, {1, 2}, {.11, .12}}),
          rank_of(1, 4, {2, 4, 7, .75, {3, 0}, {.21, .22}}),
          rank_of(2, 4, {3, 9, 8, .25, {5, 6}, {.31, .32}}),
          rank_of(3, 4, {.5, 1, 9, .6, {7, 8}, {.41, .42}})};
}

void expect_rank(const RankRanges& found, const Numbers& n) {
  EXPECT_EQ(found.ops.at("q").inputs[0], Range{n.q});
  EXPECT_EQ(found.ops.at("k_cache").inputs[0], Range{n.k});
  const MoeRanges& moe = found.moes.at("moe");
  ASSERT_EQ(moe.slices.size(), 1U);
  EXPECT_EQ(moe.slices[0].inputs[0], Range{n.hidden});
  EXPECT_EQ(moe.slices[0].outputs->at(0), Range{n.out});
  ASSERT_EQ(moe.experts.size(), n.amax.size());
  for (std::size_t e = 0; e < n.amax.size(); ++e) {
    EXPECT_EQ(moe.experts[e].intermediate, Range{n.amax[e]}) << e;
    EXPECT_EQ(moe.experts[e].matrices.at("w13_list").params.at("weight"), Range{n.w13[e]}) << e;
  }
}

TEST(Unify, PartsOfTensors) {
  const auto two = unify(four_ranks(), 2, ExpertPlacement::kTensor);
  ASSERT_EQ(two.ranks.size(), 2U);
  expect_rank(two.ranks[0], {2, 5, 8, .75, {3, 2}, {.21, .22}});
  expect_rank(two.ranks[1], {3, 9, 9, .6, {7, 8}, {.41, .42}});
  EXPECT_EQ(two.ranks[1].rank, 1);
  EXPECT_EQ(two.ranks[1].world, 2);
  const auto one = unify(four_ranks(), 1, ExpertPlacement::kTensor);
  expect_rank(one.ranks[0], {3, 9, 9, .75, {7, 8}, {.41, .42}});
  EXPECT_TRUE(one.unseen.empty());
}

TEST(Unify, WholeExperts) {
  const auto two = unify(four_ranks(), 2, ExpertPlacement::kExpert);
  expect_rank(two.ranks[0], {2, 5, 8, .75, {1, 2, 3, 0}, {.11, .12, .21, .22}});
  expect_rank(two.ranks[1], {3, 9, 9, .6, {5, 6, 7, 8}, {.31, .32, .41, .42}});
  EXPECT_EQ(two.ranks[1].moes.at("moe").first_expert, 4);
  const auto one = unify(four_ranks(), 1, ExpertPlacement::kExpert);
  expect_rank(one.ranks[0],
              {3, 9, 9, .75, {1, 2, 3, 0, 5, 6, 7, 8}, {.11, .12, .21, .22, .31, .32, .41, .42}});
  // No token reached this one: its 0 is no range.
  ASSERT_EQ(one.unseen.size(), 1U);
  EXPECT_EQ(one.unseen[0].moe, "moe");
  EXPECT_EQ(one.unseen[0].expert, 3);
}

TEST(Unify, InTwoStepsAsInOne) {
  for (const auto placement : {ExpertPlacement::kTensor, ExpertPlacement::kExpert}) {
    auto two = unify(four_ranks(), 2, placement);
    const auto stepped = unify(std::move(two.ranks), 1, placement);
    const auto direct = unify(four_ranks(), 1, placement);
    EXPECT_EQ(stepped.ranks[0].ops, direct.ranks[0].ops);
    EXPECT_EQ(stepped.ranks[0].moes, direct.ranks[0].moes);
  }
}

TEST(Unify, GroupsAreContiguous) {
  std::vector<RankRanges> ranks;
  for (int rank = 0; rank < 16; ++rank)
    ranks.push_back(rank_of(rank, 16, {1.0 + rank, 0, 0, 0, {}, {}}));
  const auto eight = unify(ranks, 8, ExpertPlacement::kTensor);
  ASSERT_EQ(eight.ranks.size(), 8U);
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(eight.ranks[static_cast<std::size_t>(i)].ops.at("q").inputs[0][0], 2.0 * i + 2);
  EXPECT_EQ(unify(ranks, 1, ExpertPlacement::kTensor).ranks.size(), 1U);
  for (const int target : {16, 3, 0, 32})
    EXPECT_THROW(unify(ranks, target, ExpertPlacement::kTensor), base::Error) << target;
}

TEST(Unify, TakesTheUnionOfNodes) {
  auto ranks = four_ranks();
  ranks[1].order.push_back("only_here");
  ranks[1].ops["only_here"] = op(OpType::kSoftmax, {3}, 1.0);
  ranks[0].order.erase(ranks[0].order.begin());
  ranks[0].ops.erase("q");
  const auto one = unify(ranks, 1, ExpertPlacement::kTensor);
  EXPECT_EQ(one.ranks[0].ops.at("q").inputs[0], Range{3});
  EXPECT_EQ(one.ranks[0].ops.at("only_here").inputs[0], Range{3});
  EXPECT_EQ(one.incomplete, (std::vector<std::string>{"only_here", "q"}));
}

TEST(Unify, EveryChannelCounts) {
  auto a = rank_of(0, 2, {1, 1, 1, 1, {}, {}});
  auto b = rank_of(1, 2, {1, 1, 1, 1, {}, {}});
  a.ops["q"].inputs[0] = {1, 5, 2};
  b.ops["q"].inputs[0] = {3, 4, 6};
  a.ops["q"].outputs = std::vector<Range>{{9, 1}};
  b.ops["q"].outputs = std::vector<Range>{{8, 2}};
  const auto one = unify({a, b}, 1, ExpertPlacement::kTensor);
  EXPECT_EQ(one.ranks[0].ops.at("q").inputs[0], (Range{3, 5, 6}));
  EXPECT_EQ(one.ranks[0].ops.at("q").outputs->at(0), (Range{9, 2}));
  b.ops["q"].inputs[0] = {3, 4};
  EXPECT_THROW(unify({a, b}, 1, ExpertPlacement::kTensor), base::Error);
}

// Slices of a rank hold its experts in order; a merged rank's slices hold theirs in order too.
TEST(Unify, SlicesKeepTheNumbersOfExperts) {
  const auto sliced = [](int rank) {
    RankRanges ranges = rank_of(rank, 2, {1, 1, 1, 1, {}, {}});
    MoeRanges& moe = ranges.moes["moe"];
    moe.slices = {op(OpType::kMoe, {2.0 + rank}, 1.0), op(OpType::kMoe, {1}, 4.0 + rank)};
    for (int e = 0; e < 4; ++e) {
      ExpertRanges expert;
      expert.intermediate = Range{10.0 * rank + e};
      expert.matrices["w2_list"] = op(OpType::kLinear, {0}, {}, 0.5 * rank + e + 1);
      moe.experts.push_back(std::move(expert));
    }
    return ranges;
  };
  const auto one = unify({sliced(0), sliced(1)}, 1, ExpertPlacement::kExpert);
  const MoeRanges& moe = one.ranks[0].moes.at("moe");
  ASSERT_EQ(moe.experts.size(), 8U);
  for (int e = 0; e < 8; ++e)
    EXPECT_EQ((*moe.experts[static_cast<std::size_t>(e)].intermediate)[0], e < 4 ? e : 6 + e);
  ASSERT_EQ(moe.slices.size(), 2U);
  for (const auto& slice : moe.slices) {
    EXPECT_EQ(slice.inputs[0], Range{3});
    EXPECT_EQ(slice.outputs->at(0), Range{5});
  }
}

TEST(Unify, FindsHowExpertsAreShared) {
  EXPECT_EQ(find_placement(four_ranks()).placement, ExpertPlacement::kExpert);
  auto same = four_ranks();
  for (auto& rank : same)
    for (auto& expert : rank.moes["moe"].experts)
      expert.matrices["w13_list"].params["weight"] = {1};
  EXPECT_EQ(find_placement(same).placement, ExpertPlacement::kTensor);
  auto silent = four_ranks();
  for (auto& rank : silent)
    for (auto& expert : rank.moes["moe"].experts) expert.matrices.clear();
  try {
    find_placement(silent);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kUsage);
  }
  auto none = four_ranks();
  for (auto& rank : none) rank.moes["moe"].experts.clear();
  EXPECT_FALSE(find_placement(none).experts);
}

// Blocks that count all experts on every rank, those of others as 0.
TEST(Unify, BlocksThatCountAllExperts) {
  auto a = rank_of(0, 2, {1, 1, 1, 1, {1, 2, 0, 0}, {0, 0, 0, 0}});
  auto b = rank_of(1, 2, {1, 1, 1, 1, {0, 0, 3, 4}, {0, 0, 0, 0}});
  for (auto* rank : {&a, &b})
    for (auto& expert : rank->moes["moe"].experts) expert.matrices.clear();
  const auto one = unify({a, b}, 1, ExpertPlacement::kExpert);
  const auto& experts = one.ranks[0].moes.at("moe").experts;
  ASSERT_EQ(experts.size(), 4U);
  for (int e = 0; e < 4; ++e)
    EXPECT_EQ((*experts[static_cast<std::size_t>(e)].intermediate)[0], e + 1);
}

// Slots that nobody wrote reach 300; what was cached reaches 12.625.
TEST(LinkCaches, ProductsGetTheRangeOfWhatIsCached) {
  RankRanges rank;
  const std::string dense = "language_model.model.layers.0.self_attn.attn.impl.";
  rank.ops[dense + "k_cache"] = op(OpType::kKvCache, {12.625});
  rank.ops[dense + "v_cache"] = op(OpType::kKvCache, {3.5});
  rank.ops[dense + "matmul_qk"] = op(OpType::kMatmul, {1.796875, 300});
  rank.ops[dense + "matmul_av"] = op(OpType::kMatmul, {1.0, 3.5});
  const std::string latent = "model.layers.1.self_attn.mla_attn.mla_attn.impl.";
  rank.ops[latent + "latent_cache_k"] = op(OpType::kKvCache, {28.0});
  rank.ops[latent + "matmul_qk"] = op(OpType::kMatmul, {2.0, 28.0});
  rank.ops[latent + "matmul_av"] = op(OpType::kMatmul, {1.0, 0.322265625});
  rank.ops["model.layers.2.matmul_qk"] = op(OpType::kMatmul, {1.0, 300});  // no cache beside it
  EXPECT_EQ(link_caches(rank),
            (std::vector<std::string>{dense + "matmul_qk", latent + "matmul_av"}));
  EXPECT_EQ(rank.ops[dense + "matmul_qk"].inputs, (std::vector<Range>{{1.796875}, {12.625}}));
  EXPECT_EQ(rank.ops[latent + "matmul_av"].inputs, (std::vector<Range>{{1.0}, {28.0}}));
  EXPECT_EQ(rank.ops["model.layers.2.matmul_qk"].inputs[1], Range{300});
  EXPECT_TRUE(link_caches(rank).empty());
}

TEST(Expand, SharesExpertsAndUndoesUnify) {
  const auto whole = unify(four_ranks(), 1, ExpertPlacement::kExpert).ranks[0];
  const auto two = expand(whole, 2);
  expect_rank(two[0], {3, 9, 9, .75, {1, 2, 3, 0}, {.11, .12, .21, .22}});
  expect_rank(two[1], {3, 9, 9, .75, {5, 6, 7, 8}, {.31, .32, .41, .42}});
  const auto four = expand(whole, 4);
  expect_rank(four[1], {3, 9, 9, .75, {3, 0}, {.21, .22}});
  EXPECT_EQ(four[3].moes.at("moe").first_expert, 6);
  const auto eight = expand(whole, 8);
  for (std::size_t k = 0; k < 8; ++k) EXPECT_EQ(eight[k].moes.at("moe").experts.size(), 1U);
  EXPECT_EQ(find_placement(four).placement, ExpertPlacement::kExpert);
  auto again = unify(four, 1, ExpertPlacement::kExpert).ranks[0];
  EXPECT_EQ(again.moes.at("moe").experts, whole.moes.at("moe").experts);
  for (const int world : {3, 16, 1}) EXPECT_THROW(expand(whole, world), base::Error) << world;
}

}  // namespace
}  // namespace whit::stats
