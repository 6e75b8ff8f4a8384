#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <sstream>
#include <thread>

#include "cli/run_whit.h"

namespace whit::testing {
namespace {

TEST(Flags, UnderscoresAreDashes) {
  const auto dashes =
      whit_json({"generate", demo(), "--prompt", "The_old", "--max-new-tokens", "3"});
  const auto underscores =
      whit_json({"generate", demo(), "--prompt", "The_old", "--max_new_tokens=3"});
  EXPECT_EQ(dashes["ids"], underscores["ids"]);
  EXPECT_EQ(dashes["ids"].size(), 3U);
}

TEST(Recipe, FillsWhatTheCommandLineLeftOut) {
  const auto recipe = scratch() / "recipe.json";
  base::write_file_atomic(recipe, nlohmann::json{{"model", demo()},
                                                 {"prompt", "Once"},
                                                 {"max_new_tokens", 2},
                                                 {"stop", {"xyzzy", "plugh"}},
                                                 {"json", true},
                                                 {"seed", nullptr}}
                                      .dump());
  const auto filled = whit({"generate", "--recipe", recipe});
  ASSERT_EQ(filled.code, 0) << filled.err;
  EXPECT_EQ(nlohmann::json::parse(filled.out)["ids"].size(), 2U);
  const auto flag = whit_json({"generate", "--recipe", recipe, "--max-new-tokens", "4"});
  EXPECT_EQ(flag["ids"].size(), 4U);
}

TEST(Recipe, AFlagBeatsItsOppositeInTheRecipe) {
  const auto recipe = scratch() / "recipe.json";
  base::write_file_atomic(recipe, R"({"sym": false, "method": "rtn", "group-size": 32})");
  const auto asymmetric = whit_json({"plan", demo(), "--recipe", recipe});
  const auto symmetric = whit_json({"plan", demo(), "--recipe", recipe, "--sym"});
  EXPECT_GT(asymmetric["output_bytes"].get<std::int64_t>(),
            symmetric["output_bytes"].get<std::int64_t>());
}

TEST(Recipe, UnknownFieldsAreRefused) {
  const auto folder = scratch();
  base::write_file_atomic(folder / "recipe.json", R"({"max_new_tokenz": 2})");
  auto finished = whit({"generate", demo(), "--recipe", folder / "recipe.json"});
  EXPECT_EQ(finished.code, 2);
  EXPECT_NE(finished.err.find("did you mean max-new-tokens?"), std::string::npos) << finished.err;
  base::write_file_atomic(folder / "recipe.json", R"({"max_new_tokens": {"n": 2}})");
  EXPECT_EQ(whit({"generate", demo(), "--recipe", folder / "recipe.json"}).code, 3);
  base::write_file_atomic(folder / "recipe.json", R"({"max_new_tokens": "few"})");
  EXPECT_EQ(whit({"generate", demo(), "--recipe", folder / "recipe.json"}).code, 2);
}

TEST(Streams, StdoutHoldsTheResultOnly) {
  const auto finished = whit({"eval", demo(), "--text", evaluation_text(), "--max-tokens", "256",
                              "--window", "128", "--json", "--verbose"});
  ASSERT_EQ(finished.code, 0) << finished.err;
  EXPECT_TRUE(nlohmann::json::accept(finished.out));
  EXPECT_NE(finished.err.find("whit: finished exit_code=0"), std::string::npos);
  EXPECT_EQ(finished.err.find('\r'), std::string::npos) << "a bar without a terminal";
  const auto quiet = whit({"eval", demo(), "--text", evaluation_text(), "--max-tokens", "256",
                           "--window", "128", "--quiet"});
  EXPECT_EQ(quiet.err, "");
}

TEST(Streams, EventsAreJsonLines) {
  const auto log = scratch() / "events.jsonl";
  ASSERT_EQ(whit({"eval", demo(), "--text", evaluation_text(), "--max-tokens", "256", "--window",
                  "128", "--log-json", log})
                .code,
            0);
  std::istringstream lines(base::read_text_file(log));
  std::string line, last;
  int progress = 0;
  while (std::getline(lines, line)) {
    const auto event = nlohmann::json::parse(line);
    EXPECT_TRUE(event["elapsed_seconds"].is_number());
    last = event["event"];
    progress += last == "progress" ? 1 : 0;
  }
  EXPECT_GT(progress, 3);
  EXPECT_EQ(last, "finished");
}

// Interrupted once it is at work.
int interrupted_by(int signal, const fs::path& log) {
  const pid_t child =
      start_whit({"eval", demo(), "--text", evaluation_text(), "--log-json", log}, {});
  for (int i = 0; i < 6000; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    if (fs::exists(log) && base::read_text_file(log).find("progress") != std::string::npos) break;
  }
  kill(child, signal);
  return wait_for(child);
}

TEST(Signals, AnOrderlyStop) {
  const auto folder = scratch();
  EXPECT_EQ(interrupted_by(SIGINT, folder / "int.jsonl"), 130);
  EXPECT_EQ(interrupted_by(SIGTERM, folder / "term.jsonl"), 143);
  EXPECT_NE(base::read_text_file(folder / "term.jsonl").find(R"("exit_code":143)"),
            std::string::npos);
}

}  // namespace
}  // namespace whit::testing
