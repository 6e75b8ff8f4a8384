#include "data/model_text.h"

#include <ctime>
#include <optional>

#include "base/error.h"
#include "checkpoint/json_file.h"
#include "jinja/chat_template.h"

namespace whit::data {

namespace {

using base::ErrorKind;
using base::fail;

constexpr const char* kConfig = "tokenizer_config.json";

bool has_template(const fs::path& folder) {
  std::error_code code;
  for (const char* name : {"chat_template.jinja", "chat_template.json"}) {
    if (fs::exists(folder / name, code)) return true;
  }
  return fs::exists(folder / kConfig, code) &&
         checkpoint::read_json_object(folder / kConfig).contains("chat_template");
}

// bos_token and the like, which a template file alone does not know.
jinja::Dict tokens_of(const fs::path& folder) {
  jinja::Dict tokens;
  std::error_code code;
  if (!fs::exists(folder / kConfig, code)) return tokens;
  const auto config = checkpoint::read_json_object(folder / kConfig);
  for (const auto& [name, value] : config.items()) {
    if (!name.ends_with("_token")) continue;
    const bool object = value.is_object() && value.contains("content");
    const auto& text = object ? value["content"] : value;
    if (text.is_string()) tokens.set(name, jinja::Value::text(text.get<std::string>()));
  }
  return tokens;
}

RenderChat make_renderer(const fs::path& path, jinja::Dict variables) {
  auto chat = std::make_shared<std::optional<jinja::ChatTemplate>>();
  const auto args = std::make_shared<jinja::ChatArgs>();
  args->variables = std::move(variables);
  std::tm day{};
  day.tm_year = 124;
  day.tm_mon = 6;
  day.tm_mday = 26;
  day.tm_wday = 5;
  day.tm_yday = 207;
  args->now = day;
  return [chat, path, args](const Json& messages) {
    if (!*chat) chat->emplace(jinja::ChatTemplate::load(path));
    return (*chat)->render(messages, *args);
  };
}

}  // namespace

FolderText::FolderText(const fs::path& folder, const fs::path& chat_template) {
  if (text::has_tokenizer(folder)) tokenizer_ = text::load_tokenizer(folder);
  std::error_code code;
  if (!chat_template.empty()) {
    if (!fs::exists(chat_template, code)) {
      fail(ErrorKind::kInput, chat_template.string(), "no such file; expected a chat template");
    }
    render_chat_ = make_renderer(chat_template, tokens_of(folder));
  } else if (has_template(folder)) {
    render_chat_ = make_renderer(folder, {});
  }
}

}  // namespace whit::data
