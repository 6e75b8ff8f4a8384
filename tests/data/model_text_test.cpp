#include "data/model_text.h"

#include <fmt/format.h>

#include "data/folder.h"
#include "data/samples.h"

namespace whit::data {
namespace {

using base::ErrorKind;

// What Open-Thoughts' rows become, and what the template makes of them.
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
  const FolderText text(folder_ / "model", file);
  EXPECT_EQ(render(text, R"([{"role": "user", "content": "q"}])"), "<s>q26 Jul 2024");
  expect_refusal([&] { FolderText(folder_ / "model", folder_ / "absent.jinja"); },
                 ErrorKind::kInput, "absent.jinja");
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
