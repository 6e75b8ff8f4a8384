#include "jinja/chat_template.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "jinja/support.h"

namespace whit::jinja {

namespace {

class Folder : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = fs::temp_directory_path() /
            fmt::format("whit_jinja_{}_{}", ::getpid(),
                        ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(path_ / "additional_chat_templates");
    fs::remove(path_ / "additional_chat_templates");
  }
  void TearDown() override { fs::remove_all(path_); }

  void write(const std::string& name, const std::string& text) {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
  }
  std::string render(const ChatArgs& args = {}) const {
    return ChatTemplate::load(path_).render(Json::parse(R"([{"role": "user", "content": "hi"}])"),
                                            args);
  }
  void expect_error(const std::string& part, const ChatArgs& args = {}) const {
    try {
      const std::string text = render(args);
      FAIL() << "no error but " << text;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kInput);
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }

  fs::path path_;
};

ChatArgs named(const std::string& name) {
  ChatArgs args;
  args.name = name;
  return args;
}

TEST_F(Folder, ConfigHoldsATemplateAndTokens) {
  write("tokenizer_config.json",
        R"({"bos_token": {"__type": "AddedToken", "content": "<s>"}, "eos_token": "</s>",
            "add_bos_token": true, "pad_token": null, "image_token": "<img>",
            "extra_special_tokens": {"audio_token": "<audio>"},
            "chat_template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ pad_token is defined }}{{ image_token }}{{ audio_token }}{{ add_bos_token is defined }}"})");
  EXPECT_EQ(render(), "<s>hi</s>False<img><audio>False");
}

TEST_F(Folder, SpecialTokensMapIsReadWithoutADecoder) {
  write("tokenizer_config.json", R"({"bos_token": "<a>", "chat_template": "{{ bos_token }}"})");
  write("special_tokens_map.json", R"({"bos_token": {"content": "<b>"}})");
  EXPECT_EQ(render(), "<b>");
  write("tokenizer_config.json",
        R"({"bos_token": "<a>", "added_tokens_decoder": {}, "chat_template": "{{ bos_token }}"})");
  EXPECT_EQ(render(), "<a>");
}

TEST_F(Folder, FilesWinOverTheConfig) {
  write("chat_template.json", R"({"chat_template": "json"})");
  EXPECT_EQ(render(), "json");
  write("tokenizer_config.json", R"({"chat_template": "config"})");
  EXPECT_EQ(render(), "config");
  write("chat_template.jinja", "file\n");
  EXPECT_EQ(render(), "file");
  write("additional_chat_templates/tool_use.jinja", "tools");
  EXPECT_EQ(render(), "file");
  ChatArgs args;
  args.tools = parse_json("[{}]", "tools");
  EXPECT_EQ(render(args), "tools");
}

TEST_F(Folder, ATemplateFileSeesTheTokensBesideIt) {
  write("some.jinja", "{{ bos_token }}|");
  const auto render_file = [&] {
    return ChatTemplate::load(path_ / "some.jinja").render(parse_json("[{}]", "m"));
  };
  EXPECT_EQ(render_file(), "|");
  write("tokenizer_config.json", R"({"bos_token": "<s>", "chat_template": "not this"})");
  EXPECT_EQ(render_file(), "<s>|");
}

TEST_F(Folder, NamedTemplates) {
  write("tokenizer_config.json",
        R"({"chat_template": [{"name": "default", "template": "d{{ tools }}"},
                              {"name": "tool_use", "template": "t{{ tools|length }}"},
                              {"name": "rag", "template": "r{{ documents }}"}]})");
  EXPECT_EQ(render(), "dNone");
  EXPECT_EQ(render(named("rag")), "rNone");
  ChatArgs args;
  args.tools = parse_json("[{}, {}]", "tools");
  EXPECT_EQ(render(args), "t2");
  expect_error("no chat template named 'nope'; expected one of default, rag, tool_use",
               named("nope"));
}

TEST_F(Folder, Refusals) {
  expect_error("no chat template");
  write("tokenizer_config.json", R"({"chat_template": 5})");
  expect_error("chat_template is no text");
  write("tokenizer_config.json", R"({"chat_template": [{"name": "x"}]})");
  expect_error("without template");
  write("tokenizer_config.json", R"({"chat_template": "a\n{{ }}"})");
  expect_error("tokenizer_config.json[chat_template]:2: found 'end of print statement'");
  write("chat_template.jinja", "\n\n{{ raise_exception('Roles must alternate') }}");
  expect_error("chat_template.jinja:3: Roles must alternate");
  write("chat_template.jinja", "\xFF");
  expect_error("no UTF-8");
}

TEST(Chat, MessagesAsTransformersPassesThem) {
  const auto chat = ChatTemplate::from_source("{{ messages|tojson }}", "t");
  EXPECT_EQ(chat.render(parse_json(R"([{"content": null, "role": "x", "tool_calls": null}])", "m")),
            R"([{"role": "x"}])");
  EXPECT_EQ(chat.render(parse_json(R"([{"role": "x", "reasoning": "r"}])", "m")),
            R"([{"thinking": "r", "role": "x", "reasoning": "r", "reasoning_content": "r"}])");
  EXPECT_EQ(
      chat.render(parse_json(R"([{"thinking": "a", "reasoning_content": "b", "role": "x"}])", "m")),
      R"([{"thinking": "a", "reasoning_content": "b", "role": "x"}])");
}

TEST(Chat, VariablesWin) {
  const auto chat = ChatTemplate::from_source(
      "{{ messages|length }}{{ tools }}{{ documents }}{{ add_generation_prompt }}{{ x }}", "t");
  ChatArgs args;
  EXPECT_EQ(chat.render(parse_json("[{}]", "m"), args), "1NoneNoneFalse");
  args.add_generation_prompt = true;
  args.variables.set("x", Value(7));
  args.variables.set("documents", Value(8));
  EXPECT_EQ(chat.render(parse_json("[{}, {}]", "m"), args), "2None8True7");
}

TEST(Chat, RefusesWhatIsNoChat) {
  const auto chat = ChatTemplate::from_source("x", "t");
  for (const char* messages : {"{}", "[]", "[1]", "\"x\"", "[[]]"})
    EXPECT_THROW(chat.render(parse_json(messages, "m")), base::Error) << messages;
  ChatArgs args;
  args.tools = parse_json("[1]", "tools");
  EXPECT_THROW(chat.render(parse_json("[{}]", "m"), args), base::Error);
}

TEST(ChatJson, IsReadAsPythonDoes) {
  const auto show = [](const char* json) {
    Dict variables;
    variables.set("x", parse_json(json, "x"));
    return Template("{{ x }}", "t").render(variables);
  };
  EXPECT_EQ(show(R"({"b": 1, "a": 2, "b": 3})"), "{'b': 3, 'a': 2}");
  EXPECT_EQ(show("[12345678901234567890123, -5, 1e2, -0.0, 18446744073709551615]"),
            "[12345678901234567890123, -5, 100.0, -0.0, 18446744073709551615]");
  EXPECT_EQ(show("\"\\ud83d\\ude00\""), "😀");
  for (const char* bad : {"", "[", "{\"a\"}", "[1,]", "nul", "\"\\ud83d\"", "\xFF", "NaN"})
    EXPECT_THROW(parse_json(bad, "x"), base::Error) << bad;
  EXPECT_THROW(parse_json(std::string(200, '['), "x"), base::Error);
  EXPECT_THROW(parse_json(std::string(60, '9'), "x"), base::Error);
}

}  // namespace

}  // namespace whit::jinja
