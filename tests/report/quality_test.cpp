#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "report/quality_html.h"
#include "report/quality_table.h"
#include "report/svg_plot.h"

namespace whit::report {
namespace {

// Complaint about the first tag that is not closed as XML wants it; empty where all are.
std::string badly_formed(const std::string& page) {
  std::vector<std::string> open;
  std::size_t at = 0;
  while ((at = page.find('<', at)) != std::string::npos) {
    const auto end = page.find('>', at);
    if (end == std::string::npos) return "a tag without an end";
    const std::string tag = page.substr(at + 1, end - at - 1);
    at = end + 1;
    if (tag.find('<') != std::string::npos) return "< inside " + tag;
    if (tag.starts_with("!") || tag.ends_with("/")) continue;
    const std::string name = tag.substr(tag.starts_with("/"), tag.find(' ') - tag.starts_with("/"));
    if (!tag.starts_with("/")) {
      open.push_back(name);
    } else if (open.empty() || open.back() != name) {
      return "unexpected </" + name + ">";
    } else {
      open.pop_back();
    }
  }
  return open.empty() ? std::string() : "<" + open.back() + "> is never closed";
}

QualityScore score(std::vector<double> window_kl) {
  QualityScore s;
  s.window_kl_nats = std::move(window_kl);
  double sum = 0;
  for (const double kl : s.window_kl_nats) sum += kl;
  s.mean_kl_nats = sum / static_cast<double>(s.window_kl_nats.size());
  s.mean_kl_standard_error_nats = 0.001;
  s.p99_kl_nats = 1;
  s.perplexity = 20;
  s.top1_agreement = 0.9;
  return s;
}

QualityRowResult row(const std::string& name, int bits, std::vector<double> window_kl) {
  QualityRowResult r;
  r.name = name;
  r.flags = "--quality " + name;
  r.bits = bits;
  r.seconds = 12.5;
  r.bits_per_weight = 5;
  r.bits_per_quantized_weight = 4.125;
  r.peak_memory_bytes = 1 << 20;
  r.scores.push_back(score(std::move(window_kl)));
  return r;
}

QualityTable table() {
  QualityTable t;
  t.model = "a <model> & \"more\"";
  t.machine = "cpu, 2 threads";
  t.calibration = "text.jsonl";
  t.baseline = "fast";
  t.texts.push_back({"wiki", "wiki.txt", 300, 3, 19});
  t.rows.push_back(row("fast", 4, {0.1, 0.2, 0.3}));
  t.rows.push_back(row("best", 4, {0.05, 0.1, 0.15}));
  t.rows.push_back(row("best", 3, {0.4, 0.4, 0.4}));
  QualityRowResult failed;
  failed.name = "route";
  failed.bits = 4;
  failed.error =
      base::Error(base::ErrorKind::kResource, "--max-memory", "1 B < 2 B; expected more");
  t.rows.push_back(failed);
  compare_with_baseline(t);
  return t;
}

TEST(QualityTable, LossesAreToldRelativeToTheBaselineOfTheSameBits) {
  const auto t = table();
  EXPECT_DOUBLE_EQ(t.rows[0].scores[0].relative_kl, 1);
  EXPECT_DOUBLE_EQ(t.rows[1].scores[0].relative_kl, 0.5);
  // Half of the baseline in every window: nothing is left to chance.
  EXPECT_NEAR(t.rows[1].scores[0].relative_kl_standard_error, 0, 1e-12);
  EXPECT_TRUE(std::isnan(t.rows[2].scores[0].relative_kl)) << "no baseline with 3 bits";
  EXPECT_FALSE(t.complete());
}

TEST(QualityTable, TheRatiosErrorIsThatOfTheWindowsPairs) {
  auto t = table();
  t.rows[1] = row("best", 4, {0.1, 0.1, 0.1});
  compare_with_baseline(t);
  // y - r x with r = 1/2 is (.05, 0, -.05): s.e. of its mean .05 / sqrt(3), over the mean of x, .2.
  EXPECT_NEAR(t.rows[1].scores[0].relative_kl_standard_error, 0.05 / std::sqrt(3.0) / 0.2, 1e-12);
}

TEST(QualityTable, TheDocumentHasThePromisedFields) {
  const auto json = nlohmann::json::parse(dump(to_json(table())));
  EXPECT_EQ(json["complete"], false);
  EXPECT_EQ(json["texts"][0]["perplexity"], 19);
  const auto& best = json["rows"][1];
  EXPECT_EQ(best["peak_memory_bytes"], 1 << 20);
  EXPECT_EQ(best["bits_per_quantized_weight"], 4.125);
  EXPECT_EQ(best["texts"][0]["relative_kl"], 0.5);
  EXPECT_EQ(best["texts"][0]["reference_perplexity"], 19);
  EXPECT_TRUE(json["rows"][2]["texts"][0]["relative_kl"].is_null());
  EXPECT_TRUE(json["rows"][2]["texts"][0].contains("relative_kl_reason"));
  EXPECT_EQ(json["rows"][3]["error"]["exit_code"], 5);
  EXPECT_EQ(json["rows"][3]["error"]["subject"], "--max-memory");
  EXPECT_FALSE(json["rows"][3].contains("texts"));
}

TEST(QualityTable, TextHasALineForEveryRow) {
  const auto text = to_text(table());
  EXPECT_NE(text.find("wiki, 4 bits"), std::string::npos);
  EXPECT_NE(text.find("wiki, 3 bits"), std::string::npos);
  EXPECT_NE(text.find("--max-memory: 1 B < 2 B; expected more"), std::string::npos) << text;
}

TEST(QualityPage, IsWellFormedAndRefersToNothing) {
  const auto page = to_html(table());
  EXPECT_EQ(badly_formed(page), "");
  for (const char* word : {"href", "src=", "http", "@import", "url(", "<script"})
    EXPECT_EQ(page.find(word), std::string::npos) << word;
  EXPECT_NE(page.find("a &lt;model&gt; &amp; &quot;more&quot;"), std::string::npos);
  EXPECT_NE(page.find("1 B &lt; 2 B"), std::string::npos);
  EXPECT_NE(page.find("prefers-color-scheme: dark"), std::string::npos);
}

TEST(QualityPage, TheCheckerOfTheseTestsFindsFaults) {
  EXPECT_NE(badly_formed("<a><b></a></b>"), "");
  EXPECT_NE(badly_formed("<a>"), "");
  EXPECT_NE(badly_formed("<a b"), "");
  EXPECT_EQ(badly_formed("<a b=\"c\"><d/></a>"), "");
}

TEST(SvgPlot, BarsAreAsLongAsTheirValues) {
  const auto chart =
      bar_chart("t", "u", {{"one", 1, 0.1, true}, {"half", 0.5}, {"none", kUnknown}});
  const auto width_after = [&](const std::string& mark) {
    const auto at = chart.find("width=\"", chart.find(mark));
    return std::stod(chart.substr(at + 7));
  };
  EXPECT_GT(width_after("\"bar-base\""), 0);
  EXPECT_NEAR(width_after("\"bar\""), width_after("\"bar-base\"") / 2, 0.11);
  EXPECT_EQ(badly_formed(chart), "");
  EXPECT_EQ(badly_formed(scatter_chart("t", "x", "y", {})), "");
}

TEST(SvgPlot, TicksAreRoundAndEnclose) {
  EXPECT_EQ(linear_ticks(0), (std::vector<double>{0, 1}));
  for (const double largest : {1e-9, 0.0371, 0.5, 1.0, 99.9, 12345.0}) {
    const auto ticks = linear_ticks(largest);
    EXPECT_GE(ticks.size(), 3U) << largest;
    EXPECT_LE(ticks.size(), 7U) << largest;
    EXPECT_EQ(ticks.front(), 0);
    EXPECT_GE(ticks.back(), largest * (1 - 1e-9));
  }
  for (const auto& [low, high] : {std::pair{1.0, 1.0}, {0.3, 700.0}, {11.1, 25.9}, {2.0, 5.0}}) {
    const auto ticks = logarithmic_ticks(low, high);
    EXPECT_GE(ticks.size(), 2U) << low;
    EXPECT_LE(ticks.front(), low);
    EXPECT_GE(ticks.back(), high);
    EXPECT_GT(ticks[1], low) << "no tick is wasted below";
  }
}

TEST(SvgPlot, TextIsEscaped) {
  EXPECT_EQ(escape_xml("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
  EXPECT_EQ(escape_xml(std::string("x\x01y\n")), "xy\n");
  EXPECT_EQ(escape_xml("\xff"), "\xef\xbf\xbd");
}

}  // namespace
}  // namespace whit::report
