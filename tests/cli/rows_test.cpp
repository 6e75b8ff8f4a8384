#include <gtest/gtest.h>

#include <sstream>

#include "cli/run_whit.h"

namespace whit::testing {
namespace {

std::vector<nlohmann::json> lines_of(const std::string& text) {
  std::vector<nlohmann::json> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

TEST(Rows, AreShownAsCalibrationReadsThem) {
  const auto file = scratch() / "rows.csv";
  base::write_file_atomic(file, "question,system_prompt\nwhy?,be kind\n,\n");
  const auto shown = whit({"rows", file});
  ASSERT_EQ(shown.code, 0) << shown.err;
  const auto lines = lines_of(shown.out);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0]["row"], file.string() + ":2");
  EXPECT_EQ(lines[0]["messages"][1]["content"], "why?");
  EXPECT_EQ(lines[1]["skipped"], "no question");
  const auto json = whit_json({"rows", file, "--limit", "1"});
  EXPECT_EQ(json["sets"][0]["format"], "CSV");
  EXPECT_EQ(json["sets"][0]["rows"], 2);
  EXPECT_EQ(json["sets"][0]["columns"], nlohmann::json({"question", "system_prompt"}));
  EXPECT_EQ(json["sets"][0]["contents"].size(), 1U);
}

TEST(Rows, DrawnForAModelCalibrateIt) {
  const auto folder = scratch();
  const auto text = std::string(WHIT_SOURCE_DIR) + "/demo/text/calibration.jsonl";
  const std::vector<std::string> draw{"rows", text,     "--model", demo(), "--max-sequence-length",
                                      "64",   "--seed", "3"};
  auto few = draw;
  few.insert(few.end(), {"--num-calibration-samples", "6"});
  const auto drawn = whit({few.begin(), few.end()});
  ASSERT_EQ(drawn.code, 0) << drawn.err;
  EXPECT_NE(drawn.err.find("6 sequences from 6 of 6 rows read"), std::string::npos) << drawn.err;
  const auto lines = lines_of(drawn.out);
  ASSERT_EQ(lines.size(), 6U);
  EXPECT_EQ(lines[0]["input_ids"].size(), 64U);
  few.push_back("--json");
  const auto json = nlohmann::json::parse(whit({few.begin(), few.end()}).out);
  EXPECT_EQ(json["sequences"][5], lines[5]["input_ids"]);
  EXPECT_EQ(json["sets"][0]["rows_used"], 6);
}

TEST(Rows, ChatsGoThroughTheModelsTemplate) {
  const auto folder = scratch();
  const std::string chat =
      R"([{"role": "user", "content": "Where is it?"}, {"role": "assistant", "content": "At sea."}])";
  const auto messages = folder / "chat.json", rows = folder / "chats.jsonl";
  base::write_file_atomic(messages, chat);
  base::write_file_atomic(rows, "{\"messages\": " + chat + "}\n");
  const auto rendering = whit({"chat-template", demo(), "--messages", messages}).out;
  ASSERT_NE(rendering.find("At sea."), std::string::npos);
  const std::vector<std::string> draw{"rows", rows, "--model", demo(), "--min-sequence-length",
                                      "2"};
  EXPECT_EQ(whit_json(draw)["sequences"][0], whit_json({"tokenize", demo(), rendering})["ids"]);

  const auto other = folder / "other.jinja";
  base::write_file_atomic(other,
                          "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}");
  auto with_other = draw;
  with_other.insert(with_other.end(), {"--chat-template", other});
  EXPECT_EQ(whit_json(with_other)["sequences"][0],
            whit_json({"tokenize", demo(), "Where is it?At sea.", "--special"})["ids"]);
  with_other.back() = folder / "absent.jinja";
  const auto absent = whit(with_other);
  EXPECT_EQ(absent.code, 3);
  EXPECT_NE(absent.err.find("absent.jinja: no such file; expected a chat template"),
            std::string::npos)
      << absent.err;

  // Chats are scored, and answered, too.
  EXPECT_GT(whit_json({"eval", demo(), "--text", rows, "--window", "8"})["tokens"], 0);
  const auto answer =
      whit_json({"generate", demo(), "--messages", messages, "--max-new-tokens", "2"});
  const auto prompt =
      whit({"chat-template", demo(), "--messages", messages, "--add-generation-prompt"}).out;
  EXPECT_EQ(answer["prompt_ids"], whit_json({"tokenize", demo(), prompt})["ids"]);
  EXPECT_EQ(whit({"generate", demo(), "--messages", messages, "--prompt", "a"}).code, 2);
}

TEST(Rows, AModelWithoutATokenizerTakesAnother) {
  const auto bare = scratch();
  for (const auto& entry : fs::directory_iterator(demo()))
    if (!entry.path().filename().string().starts_with("tokenizer"))
      fs::create_symlink(entry.path(), bare / entry.path().filename());
  const auto text = std::string(WHIT_SOURCE_DIR) + "/demo/text/calibration.jsonl";
  const auto drawn = [&](const std::string& model, const std::vector<std::string>& more) {
    std::vector<std::string> draw{"rows", text, "--model", model, "--num-calibration-samples", "2"};
    draw.insert(draw.end(), more.begin(), more.end());
    return whit(draw);
  };
  const auto refused = drawn(bare, {});
  EXPECT_EQ(refused.code, 3);
  EXPECT_NE(refused.err.find("no tokenizer; expected input_ids, or --tokenizer PATH"),
            std::string::npos)
      << refused.err;
  const auto with = drawn(bare, {"--tokenizer", demo()});
  EXPECT_EQ(with.code, 0) << with.err;
  EXPECT_EQ(with.out, drawn(demo(), {}).out);
  EXPECT_GT(whit_json({"eval", bare, "--text", evaluation_text(), "--window", "8", "--max-tokens",
                       "16", "--tokenizer", demo()})["tokens"],
            0);
}

TEST(Rows, ADatasetThatIsNotThereNamesTheCommand) {
  const auto missing = whit({"rows", "open-platypus"});
  EXPECT_EQ(missing.code, 3);
  EXPECT_NE(missing.err.find("datasets--garage-bAInd--Open-Platypus"), std::string::npos);
  EXPECT_NE(missing.err.find("hf download --repo-type dataset garage-bAInd/Open-Platypus"),
            std::string::npos)
      << missing.err;
  const auto share = whit({"rows", "a.jsonl:x"});
  EXPECT_EQ(share.code, 2);
  EXPECT_NE(share.err.find("share \"x\""), std::string::npos) << share.err;
}

}  // namespace
}  // namespace whit::testing
