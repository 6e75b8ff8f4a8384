#include "cli/quality_rows.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "cli/run_whit.h"

namespace whit::testing {
namespace {

using Words = std::vector<std::string>;

TEST(QualityRows, AreFlagsOfQuantize) {
  EXPECT_EQ(cli::quality_row("rtn").flags, (Words{"--method", "rtn"}));
  EXPECT_EQ(cli::quality_row("refit").flags,
            (Words{"--method", "gptq", "--quality", "fast", "--refit-scales"}));
  EXPECT_EQ(cli::quality_row("best-signed").flags,
            (Words{"--method", "gptq", "--quality", "best", "--no-signed-scales"}));
  EXPECT_EQ(cli::quality_row("best-descent+order").flags,
            (Words{"--method", "gptq", "--quality", "best", "--descent-passes", "0",
                   "--quantization-order", "activation"}));
}

TEST(QualityRows, UnknownOnesAreRefusedWithTheNearest) {
  const auto refused = [](const std::string& name, const std::string& guess) {
    try {
      cli::quality_row(name);
      ADD_FAILURE() << name;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kUsage);
      EXPECT_EQ(error.subject(), "--rows");
      EXPECT_EQ(error.suggestion(), guess) << error.what();
    }
  };
  refused("bets", "did you mean best?");
  refused("fast+wheighted", "did you mean weighted?");
  refused("fast+best", "");
  refused("best-", "");
  refused("", "");
}

// Each name's flags are flags that quantize has: plan, which reads headers only, takes them.
TEST(QualityRows, EveryNamesFlagsAreKnown) {
  std::vector<std::string_view> all;
  for (const auto& entry : cli::quality_bases()) all.push_back(entry.flags);
  for (const auto& entry : cli::quality_parts()) {
    all.push_back(entry.flags);
    all.push_back(entry.without);
  }
  for (const auto flags : all) {
    Words words{"plan", demo(), "--quiet"};
    std::istringstream in{std::string(flags)};
    for (std::string word; in >> word;) words.push_back(word);
    const auto finished = whit(words);
    EXPECT_EQ(finished.code, 0) << flags << ": " << finished.err;
  }
}

TEST(QualityRows, HelpListsThem) {
  const auto help = whit({"bench", "quality", "--help"});
  EXPECT_EQ(help.code, 0) << help.err;
  for (const auto& table : {cli::quality_bases(), cli::quality_parts()})
    for (const auto& entry : table)
      EXPECT_NE(help.out.find(std::string(entry.name) + " "), std::string::npos) << entry.name;
}

TEST(QualityRows, MalformedRequestsEndWith2) {
  const auto refused = [](Words more, const std::string& words) {
    Words args{"bench", "quality", demo()};
    args.insert(args.end(), more.begin(), more.end());
    const auto finished = whit(args);
    EXPECT_EQ(finished.code, 2) << finished.err;
    EXPECT_EQ(finished.out, "");
    EXPECT_NE(finished.err.find(words), std::string::npos) << finished.err;
  };
  refused({"--text", evaluation_text(), "--rows", "rtn,besst"}, "did you mean best?");
  refused({"--text", evaluation_text(), "--rows", "rtn,rtn"}, "twice");
  refused({"--text", evaluation_text(), "--rows", "fast"}, "--calibration: absent");
  refused({"--rows", "rtn"}, "--text: missing");
  refused({"--rows", "rtn", "--text", evaluation_text(), "--bits", "9"}, "--bits: 9");
}

}  // namespace
}  // namespace whit::testing
