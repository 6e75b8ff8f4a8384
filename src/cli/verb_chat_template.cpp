#include <CLI/CLI.hpp>
#include <memory>

#include "base/error.h"
#include "cli/chat_input.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "jinja/chat_template.h"

namespace whit::cli {

namespace verb_chat_template {

using base::ErrorKind;

struct Flags {
  std::string model, messages, tools, documents;
  std::vector<std::string> variables;
  jinja::ChatArgs args;
};

int run(Session& session, Flags& flags) {
  std::filesystem::path path = flags.model;
  if (!std::filesystem::exists(path)) path = session.model_folder(flags.model);
  const auto chat = jinja::ChatTemplate::load(path);
  if (!flags.tools.empty()) flags.args.tools = read_json_value(flags.tools);
  if (!flags.documents.empty()) flags.args.documents = read_json_value(flags.documents);
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

}  // namespace verb_chat_template

Verb chat_template_verb() {
  return {"chat-template", "A chat as the model's template writes it",
          "  whit chat-template demo/moe-15m --messages chat.json --add-generation-prompt\n"
          "  whit chat-template template.jinja --messages chat.json --tools tools.json \\\n"
          "    --set 'bos_token=\"<s>\"' --set enable_thinking=false\n",
          verb_chat_template::declare};
}

}  // namespace whit::cli
