#include "data/content.h"

#include "data/folder.h"

namespace whit::data {
namespace {

using base::ErrorKind;

Content read(const char* row, const std::string& column = {}) {
  return content_of(Json::parse(row), column, "row");
}

std::string text_of(const char* row) {
  return std::get<std::string>(read(row));
}

Json messages_of(const char* row) {
  return std::get<Chat>(read(row)).messages;
}

void refuse(const char* row, const std::string& part, const std::string& column = {}) {
  expect_refusal([&] { read(row, column); }, ErrorKind::kInput, part);
}

using Ids = std::vector<text::TokenId>;

TEST(Content, IdsAndTexts) {
  EXPECT_EQ(text_of(R"({"text": "a", "id": "x"})"), "a");
  EXPECT_EQ(std::get<Ids>(read(R"({"text": "a", "input_ids": [3, 1]})")), (Ids{3, 1}));
  EXPECT_EQ(std::get<Ids>(read(R"({"input_ids": "[3, 1]"})")), (Ids{3, 1}));
  EXPECT_EQ(std::get<Ids>(read(R"({"input_ids": []})")), Ids{});
  EXPECT_EQ(std::get<std::string>(read(R"({"text": "a", "body": "b"})", "body")), "b");
  EXPECT_EQ(std::get<NoContent>(read(R"({"text": null})")).reason, "\"text\" is null");
}

TEST(Content, ChatsInTheirForms) {
  const Json expected = Json::parse(R"([{"role": "system", "content": "s"},
      {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}])");
  EXPECT_EQ(messages_of(R"({"messages": [{"role": "system", "content": "s"},
      {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]})"),
            expected);
  EXPECT_EQ(messages_of(R"({"system": "s", "conversations": [{"from": "human", "value": "q"},
      {"from": "gpt", "value": "a"}]})"),
            expected);
  EXPECT_EQ(messages_of(R"({"system": "t", "conversations": [{"from": "system", "value": "s"},
      {"from": "user", "value": "q"}, {"from": "assistant", "value": "a"}]})"),
            expected);
  EXPECT_EQ(messages_of(R"({"messages": "[{\"role\": \"user\", \"content\": \"q\"}]"})"),
            Json::parse(R"([{"role": "user", "content": "q"}])"));
  // Other fields of a message go to the template, but for those that are null.
  EXPECT_EQ(
      messages_of(R"({"messages": [{"role": "assistant", "content": null,
      "tool_calls": [{"id": "1"}], "name": null}]})"),
      Json::parse(R"([{"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]}])"));
  EXPECT_EQ(messages_of(R"({"instruction": "i", "input": "", "output": "o"})"),
            Json::parse(R"([{"role": "user", "content": "i"},
                            {"role": "assistant", "content": "o"}])"));
  EXPECT_EQ(messages_of(R"({"instruction": "i", "input": "x", "output": "o"})")[0]["content"],
            "i\n\nx");
}

TEST(Content, OpenThoughtsPartsThoughtAndSolution) {
  const Json messages = messages_of(R"({"system": "s", "conversations": [
      {"from": "user", "value": "q"},
      {"from": "assistant", "value": "<|begin_of_thought|>\n\nhm\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n42 \n<|end_of_solution|>"}]})");
  EXPECT_EQ(messages.size(), 3U);
  EXPECT_EQ(messages[2]["content"], "42");
  EXPECT_EQ(messages[2]["reasoning_content"], "hm");
  EXPECT_EQ(messages_of(R"({"conversations": [{"from": "assistant",
      "value": "<|begin_of_thought|> no end"}]})")[0]["content"],
            "<|begin_of_thought|> no end");
}

TEST(Content, PromptsOfMlPerf) {
  const auto chat =
      std::get<Chat>(read(R"({"system_prompt": "s", "question": "q", "response": "r"})"));
  EXPECT_EQ(chat.messages, Json::parse(R"([{"role": "system", "content": "s"},
                                           {"role": "user", "content": "q"}])"));
  EXPECT_EQ(chat.joined, "s. q");
  const auto bare = std::get<Chat>(read(R"({"system_prompt": "", "question": "q"})"));
  EXPECT_EQ(bare.messages, Json::parse(R"([{"role": "user", "content": "q"}])"));
  EXPECT_EQ(bare.joined, "q");
}

TEST(Content, RefusesWhatItCannotRead) {
  refuse(R"({"label": 1})", "neither text nor input_ids");
  refuse(R"({"label": 1})", "among label");
  refuse(R"({"text": 4})", "\"text\" is number");
  refuse(R"({"text": "a"})", "no column \"body\" among text", "body");
  refuse(R"({"input_ids": [1, "a"]})", "id 1 is \"a\"");
  refuse(R"({"input_ids": [1, 4294967296]})", "id 1 is 4294967296");
  refuse(R"({"input_ids": "1 2"})", "holds no JSON array");
  refuse(R"({"messages": [{"role": "user"}, 4]})", "message 1: number");
  refuse(R"({"messages": [{"text": "a"}]})", "neither role and content nor from and value");
  refuse(R"({"conversations": [{"from": "nobody", "value": "a"}]})", "\"nobody\"");
  refuse(R"({"question": 4})", "\"question\" is number");
}

}  // namespace
}  // namespace whit::data
