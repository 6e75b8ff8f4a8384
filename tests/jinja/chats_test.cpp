#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "jinja/chat_template.h"
#include "jinja/support.h"

namespace whit::jinja {

namespace {

constexpr std::string_view kError = "error: ";

ChatArgs args_of(const Dict& chat) {
  ChatArgs args;
  args.now = kDate;
  if (const Value* tools = chat.find("tools")) args.tools = *tools;
  if (const Value* documents = chat.find("documents")) args.documents = *documents;
  if (const Value* prompt = chat.find("add_generation_prompt"))
    args.add_generation_prompt = prompt->boolean();
  const std::pair<const char*, const char*> kTokens[] = {
      {"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}};
  for (const auto& [name, token] : kTokens) args.variables.set(name, Value::text(token));
  if (const Value* variables = chat.find("variables"))
    for (const auto& [name, value] : variables->dict().entries()) args.variables.set(name, value);
  return args;
}

// A hash of the rendering; "error: " and the words where jinja2 has them, else "error".
std::string outcome(const ChatTemplate& chat_template, const Dict& chat, bool with_words) {
  try {
    return fnv1a(chat_template.render(*chat.find("messages"), args_of(chat)));
  } catch (const base::Error& error) {
    return with_words ? std::string(kError) + error.detail() : "error";
  }
}

// Real templates, which are read where they lie: goldens are hashes.
TEST(RealTemplates, RenderAsTransformersDoes) {
  if (!fs::is_directory(kTemplates)) GTEST_SKIP() << "no " << kTemplates;
  const Value golden = read_golden("renderings.json"), chats = read_golden("chats.json");
  int compared = 0;
  for (const auto& [file, wanted] : golden.dict().find("templates")->dict().entries()) {
    const fs::path path = kTemplates / file.bytes();
    ASSERT_TRUE(fs::exists(path)) << path;
    const auto chat_template = ChatTemplate::load(path);
    for (const Value& chat : chats.dict().find("chats")->items()) {
      const std::string& name = chat.dict().find("name")->bytes();
      const Value* expected = wanted.dict().find(name);
      ASSERT_NE(expected, nullptr) << name;
      const bool with_words = expected->bytes().starts_with(kError);
      EXPECT_EQ(outcome(chat_template, chat.dict(), with_words), expected->bytes())
          << file.bytes() << ", chat '" << name << "'";
      ++compared;
    }
  }
  EXPECT_GE(compared, 2000);
}

}  // namespace

}  // namespace whit::jinja
