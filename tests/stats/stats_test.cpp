#include <gtest/gtest.h>

#include <vector>

#include "base/error.h"
#include "stats/site.h"
#include "stats/statistic.h"

namespace whit::stats {
namespace {

using tensor::make_f32;

TEST(Site, NamesTaps) {
  EXPECT_EQ(name_of(Site::kAttnIn), "attn_in");
  EXPECT_EQ(name_of(Site::kHeadIn), "head_in");
  EXPECT_EQ(to_string({3, Site::kExpertMid, 17}), "layer 3 expert 17 expert_mid");
  EXPECT_EQ(to_string({0, Site::kMlpIn, -1}), "layer 0 mlp_in");
}

TEST(Gram, SumsOuterProductsAndCountsTokens) {
  const auto backend = compute::make_reference_backend();
  Gram gram(*backend, 2);
  const tensor::Tensor x = make_f32({2, 2}, std::vector<float>{1, 2, 3, 4});
  gram.observe(x.matrix());
  gram.observe(x.matrix().rows_of(0, 1), std::vector<float>{0.5F});
  EXPECT_EQ(gram.tokens(), 3);
  EXPECT_EQ(gram.sum().row<float>(0)[0], 10.5F);
  EXPECT_EQ(gram.sum().row<float>(0)[1], 15.0F);
  EXPECT_EQ(gram.sum().row<float>(1)[0], 15.0F);
  EXPECT_EQ(gram.sum().row<float>(1)[1], 22.0F);
}

TEST(Gram, MergesAsIfSeenTogether) {
  const auto backend = compute::make_reference_backend();
  const tensor::Tensor x = make_f32({3, 2}, std::vector<float>{1, 2, 3, 4, 5, 6});
  Gram whole(*backend, 2);
  whole.observe(x.matrix());
  Gram first(*backend, 2);
  Gram second(*backend, 2);
  first.observe(x.matrix().rows_of(0, 1));
  second.observe(x.matrix().rows_of(1, 2));
  first.merge(second);
  EXPECT_EQ(first.tokens(), 3);
  for (std::int64_t i = 0; i < 2; ++i)
    for (std::int64_t j = 0; j < 2; ++j)
      EXPECT_EQ(first.sum().row<float>(i)[j], whole.sum().row<float>(i)[j]);
}

TEST(Gram, IsImmutableOnceFrozen) {
  const auto backend = compute::make_reference_backend();
  Gram gram(*backend, 2);
  const Gram other(*backend, 2);
  gram.freeze();
  EXPECT_TRUE(gram.frozen());
  const tensor::Tensor x = make_f32({1, 2}, std::vector<float>{1, 2});
  EXPECT_THROW(gram.observe(x.matrix()), base::Error);
  EXPECT_THROW(gram.merge(other), base::Error);
}

TEST(Gram, RefusesOtherWidths) {
  const auto backend = compute::make_reference_backend();
  Gram gram(*backend, 3);
  const tensor::Tensor x = make_f32({1, 2}, std::vector<float>{1, 2});
  EXPECT_THROW(gram.observe(x.matrix()), base::Error);
  EXPECT_THROW(gram.merge(Gram(*backend, 2)), base::Error);
}

}  // namespace
}  // namespace whit::stats
