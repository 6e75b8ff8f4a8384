#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "jinja/chat_template.h"

namespace whit::cli {

namespace {

using base::ErrorKind;

struct Flags {
  std::string model, messages, tools, documents;
  std::vector<std::string> variables;
  jinja::ChatArgs args;
};

jinja::Value read_json(const std::string& file) {
  return jinja::parse_json(base::read_text_file(file), file);
}

// A list of messages, or a row that holds one.
jinja::Value read_messages(const std::string& file) {
  jinja::Value json = read_json(file);
  if (!json.is(jinja::Kind::kDict)) return json;
  const jinja::Value* messages = json.dict().find("messages");
  return messages == nullptr ? json : *messages;
}

// Builds that must come out the same set SOURCE_DATE_EPOCH: seconds since 1970, in UTC.
std::optional<std::tm> source_date() {
  const char* text = std::getenv("SOURCE_DATE_EPOCH");
  if (text == nullptr || *text == '\0') return std::nullopt;
  const std::string_view digits = text;
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), seconds);
  const std::time_t time = seconds;
  std::tm date{};
  if (error != std::errc() || end != digits.end() || seconds < 0 ||
      ::gmtime_r(&time, &date) == nullptr)
    base::fail(ErrorKind::kUsage, "SOURCE_DATE_EPOCH", "'{}'; expected seconds since 1970", digits);
  return date;
}

int run(Session& session, Flags& flags) {
  std::filesystem::path path = flags.model;
  if (!std::filesystem::exists(path)) path = session.model_folder(flags.model);
  const auto chat = jinja::ChatTemplate::load(path);
  if (!flags.tools.empty()) flags.args.tools = read_json(flags.tools);
  if (!flags.documents.empty()) flags.args.documents = read_json(flags.documents);
  for (const std::string& setting : flags.variables) {
    const auto equals = setting.find('=');
    if (equals == std::string::npos || equals == 0)
      base::fail(ErrorKind::kUsage, "--set", "'{}'; expected NAME=JSON", setting);
    flags.args.variables.set(setting.substr(0, equals),
                             jinja::parse_json(std::string_view(setting).substr(equals + 1),
                                               "--set " + setting.substr(0, equals)));
  }
  flags.args.now = source_date();
  const std::string text = chat.render(read_messages(flags.messages), flags.args);
  session.print({{"text", text}}, text);
  return 0;
}

Job declare(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("MODEL", flags->model,
                 "model folder or org/name[@revision], or a template: .jinja, "
                 "tokenizer_config.json, chat_template.json")
      ->required();
  app.add_option("--messages", flags->messages, "a JSON list of {\"role\", \"content\", ...}")
      ->type_name("FILE")
      ->required();
  app.add_option("--tools", flags->tools, "a JSON list of tools' schemas")->type_name("FILE");
  app.add_option("--documents", flags->documents, "a JSON list of {\"title\", \"text\"}")
      ->type_name("FILE");
  app.add_flag("--add-generation-prompt", flags->args.add_generation_prompt,
               "end with the beginning of the assistant's answer");
  app.add_option("--set", flags->variables, "another variable of the template; may be repeated")
      ->type_name("NAME=JSON")
      ->expected(1)
      ->take_all();
  app.add_option("--template", flags->args.name, "one of several templates")->type_name("NAME");
  return [flags](Session& session) { return run(session, *flags); };
}

}  // namespace

Verb chat_template_verb() {
  return {"chat-template", "A chat as the model's template writes it",
          "  whit chat-template demo/moe-15m --messages chat.json --add-generation-prompt\n"
          "  whit chat-template template.jinja --messages chat.json --tools tools.json \\\n"
          "    --set 'bos_token=\"<s>\"' --set enable_thinking=false\n",
          declare};
}

}  // namespace whit::cli
