#include "data/model_text.h"

#include <ctime>
#include <optional>

#include "base/error.h"
#include "jinja/chat_template.h"

namespace whit::data {

namespace {

using base::ErrorKind;
using base::fail;

// Dates in templates: a job gives the same samples on every day.
std::tm fixed_day() {
  std::tm day{};
  day.tm_year = 124;
  day.tm_mon = 6;
  day.tm_mday = 26;
  day.tm_wday = 5;
  day.tm_yday = 207;
  return day;
}

// model: the folder whose token strings a template of another place sees.
RenderChat make_renderer(const fs::path& path, const fs::path& model) {
  auto chat = std::make_shared<std::optional<jinja::ChatTemplate>>();
  return [chat, path, model](const Json& messages) {
    if (!*chat) chat->emplace(jinja::ChatTemplate::load(path, model));
    jinja::ChatArgs args;
    args.now = fixed_day();
    return (*chat)->render(messages, args);
  };
}

}  // namespace

FolderText::FolderText(const fs::path& folder, const TextFiles& files) {
  if (!files.tokenizer.empty())
    tokenizer_ = text::load_tokenizer(files.tokenizer);
  else if (text::has_tokenizer(folder))
    tokenizer_ = text::load_tokenizer(folder);
  if (!files.chat_template.empty()) {
    if (!fs::exists(files.chat_template)) {
      fail(ErrorKind::kInput, files.chat_template.string(),
           "no such file; expected a chat template");
    }
    render_chat_ = make_renderer(files.chat_template, folder);
  } else if (jinja::ChatTemplate::exists_in(folder)) {
    render_chat_ = make_renderer(folder, {});
  } else if (!files.tokenizer.empty() && jinja::ChatTemplate::exists_in(files.tokenizer)) {
    render_chat_ = make_renderer(files.tokenizer, {});
  }
}

}  // namespace whit::data
