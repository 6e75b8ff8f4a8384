#include "data/model_text.h"

#include <fmt/format.h>

#include "data/folder.h"
#include "data/samples.h"

namespace whit::data {
namespace {

using base::ErrorKind;

class ModelTexts : public Folder {
 protected:
  static std::string render(const FolderText& text, const char* messages) {
    return text.view().render_chat(Json::parse(messages));
  }
};

TEST_F(ModelTexts, TheFoldersTemplateRendersChats) {
  write("model/tokenizer_config.json", R"({"bos_token": "<s>", "chat_template":
      "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"})");
  const FolderText text(folder_ / "model");
  EXPECT_EQ(text.tokenizer(), nullptr);
  EXPECT_EQ(render(text, R"([{"role": "user", "content": "q"}])"), "<s>[user]q");
}

TEST_F(ModelTexts, AnotherTemplateSeesTheModelsTokens) {
  write("model/tokenizer_config.json", R"({"bos_token": {"content": "<s>"}})");
  const auto file =
      write("chat.jinja", "{{ bos_token }}{{ messages[0].content }}{{ strftime_now('%d %b %Y') }}");
  const FolderText text(folder_ / "model", {{}, file});
  EXPECT_EQ(render(text, R"([{"role": "user", "content": "q"}])"), "<s>q26 Jul 2024");
  expect_refusal(
      [&] {
        FolderText(folder_ / "model", {{}, folder_ / "absent.jinja"});
      },
      ErrorKind::kInput, "absent.jinja");
}

TEST_F(ModelTexts, OfNamedTemplatesTheDefaultIsTaken) {
  write("model/tokenizer_config.json", R"({"chat_template": [
      {"name": "tool_use", "template": "tools"}, {"name": "default", "template": "plain"}]})");
  EXPECT_EQ(render(FolderText(folder_ / "model"), R"([{"role": "user", "content": "q"}])"),
            "plain");
}

TEST_F(ModelTexts, TheFolderOfATokenizerGivesItsTemplateToo) {
  write("bare/config.json", "{}");
  write("other/tokenizer_config.json",
        R"({"bos_token": "<｜begin▁of▁sentence｜>", "chat_template": "{{ bos_token }}"})");
  fs::copy_file(fs::path(WHIT_SOURCE_DIR) / "demo/moe-15m/tokenizer.json",
                folder_ / "other/tokenizer.json");
  const FolderText text(folder_ / "bare", {folder_ / "other", {}});
  EXPECT_NE(text.tokenizer(), nullptr);
  EXPECT_EQ(render(text, R"([{"role": "user", "content": "q"}])"), "<｜begin▁of▁sentence｜>");
}

TEST_F(ModelTexts, ABrokenTemplateIsAnErrorOnlyWhereItIsNeeded) {
  write("model/chat_template.jinja", "{% if %}");
  const FolderText text(folder_ / "model");
  expect_refusal([&] { render(text, R"([{"role": "user", "content": "q"}])"); }, ErrorKind::kInput,
                 "chat_template.jinja");
  write("bare/config.json", "{}");
  EXPECT_FALSE(FolderText(folder_ / "bare").view().render_chat);
}

}  // namespace
}  // namespace whit::data
