#include "report/ranges_report.h"

#include <gtest/gtest.h>

#include <limits>

#include "report/svg_lines.h"

namespace whit::report {
namespace {

stats::RankRanges measured(double scale) {
  stats::RankRanges rank;
  for (int layer = 0; layer < 3; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    stats::OpRanges cache;
    cache.op = stats::OpType::kKvCache;
    cache.inputs = {{scale * (layer + 1), scale}};
    rank.order.push_back(prefix + "attn.impl.latent_cache_k");
    rank.ops[rank.order.back()] = cache;
  }
  stats::MoeRanges moe;
  stats::OpRanges op;
  op.op = stats::OpType::kMoe;
  op.inputs = {{4}};
  op.outputs = std::vector<stats::Range>{{2}};
  moe.slices = {op};
  moe.first_expert = 8;
  moe.experts.resize(2);
  moe.experts[0].intermediate = stats::Range{5};
  moe.experts[1].intermediate = stats::Range{7};
  rank.order.emplace_back("model.layers.2.mlp.experts.moe_op");
  rank.moes[rank.order.back()] = moe;
  stats::OpRanges head;
  head.inputs = {{9}};
  rank.order.emplace_back("lm_head");
  rank.ops["lm_head"] = head;
  return rank;
}

TEST(RangesReport, CsvHoldsEveryMaximumOfAllRanks) {
  const auto run = ranges_run("a, b", {measured(1), measured(2)});
  EXPECT_EQ(to_csv({run}),
            "run,layer,tensor,maximum\n"
            "\"a, b\",0,attn.impl.latent_cache_k inputs[0],2\n"
            "\"a, b\",1,attn.impl.latent_cache_k inputs[0],4\n"
            "\"a, b\",2,attn.impl.latent_cache_k inputs[0],6\n"
            "\"a, b\",2,mlp.experts.moe_op inputs[0],4\n"
            "\"a, b\",2,mlp.experts.moe_op outputs[0],2\n"
            "\"a, b\",2,mlp.experts.moe_op experts,7\n"
            "\"a, b\",2,mlp.experts.moe_op expert 8,5\n"
            "\"a, b\",2,mlp.experts.moe_op expert 9,7\n"
            "\"a, b\",,lm_head inputs[0],9\n");
}

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t found = 0;
  for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++found;
  return found;
}

TEST(RangesReport, PageHasAPlotOfEveryTensorWithALineForEveryRun) {
  const auto page =
      ranges_html({ranges_run("first <run>", {measured(1)}), ranges_run("second", {measured(3)})});
  EXPECT_EQ(count(page, "<figure>"), 4U);           // the cache, the mixture's in, out and experts
  EXPECT_EQ(count(page, "first &lt;run&gt;"), 2U);  // legend, and the table of what has no layers
  EXPECT_EQ(count(page, "<run>"), 0U);
  const auto cache = page.find("<figcaption>attn.impl.latent_cache_k inputs[0]");
  ASSERT_NE(cache, std::string::npos);
  const auto plot = page.substr(cache, page.find("</figure>", cache) - cache);
  EXPECT_EQ(count(plot, "<polyline class=\"series s0\""), 1U);
  EXPECT_EQ(count(plot, "<polyline class=\"series s1\""), 1U);
  EXPECT_EQ(count(page, "http"), 0U);
  EXPECT_EQ(count(page, "expert 8"), 0U);
}

TEST(LineChart, LinesBreakWhereThereIsNothing) {
  const double none = std::numeric_limits<double>::quiet_NaN();
  const auto chart = line_chart("t", "layer", "y", {{"a", {1, 2, none, 3, 4, none, 5}}});
  EXPECT_EQ(count(chart, "<polyline"), 3U);
  EXPECT_EQ(count(chart, "nan"), 0U);
  // From 64 to 544 for 6 steps, from 246 up to 18 for 5.
  EXPECT_NE(chart.find("points=\"64.0,200.4 144.0,154.8\""), std::string::npos) << chart;
  EXPECT_EQ(count(line_chart("t", "x", "y", {{"a", {}}}), "<polyline"), 0U);
}

}  // namespace
}  // namespace whit::report
