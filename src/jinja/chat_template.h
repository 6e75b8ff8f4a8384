#pragma once

#include <ctime>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "jinja/json.h"
#include "jinja/template.h"

namespace whit::jinja {

namespace fs = std::filesystem;

// What a chat is rendered with, besides its messages.
struct ChatArgs {
  Value tools;      // a list of JSON schemas; Missing or None: no tools
  Value documents;  // a list of objects, likewise
  bool add_generation_prompt = false;
  Dict variables;              // any others; they win over the token strings
  std::string name;            // of a template among several; empty: as transformers chooses
  std::optional<std::tm> now;  // what strftime_now tells; local time where it is not given
};

// A model's chat templates and the token strings (bos_token and the like) that they see.
class ChatTemplate {
 public:
  // A model folder, or a file: tokenizer_config.json; chat_template.json; any other is a template,
  // which sees the token strings of the files beside it. In a folder chat_template.jinja (and
  // additional_chat_templates/*.jinja) wins over tokenizer_config.json, which wins over
  // chat_template.json. Where `model` is given, the token strings are that folder's instead.
  // Templates are parsed here. Errors: kInput: no template, syntax (subject = file and line).
  static ChatTemplate load(const fs::path& path, const fs::path& model = {});
  // Whether load finds one in a model folder. Errors: kInput: JSON that is broken.
  static bool exists_in(const fs::path& folder);
  // One template, `subject` in errors, without token strings.
  static ChatTemplate from_source(std::string_view source, std::string subject);

  // The text of the messages, as transformers' apply_chat_template(tokenize=False) gives it: fields
  // that are null are left out of messages, and reasoning_content, thinking and reasoning are one
  // field. `messages` is a list of objects. Errors: kInput: no such list, or an empty one; what the
  // template raises, by its own words (subject = template and line); a limit. kUnsupported.
  std::string render(const Value& messages, const ChatArgs& args = {}) const;
  std::string render(const Json& messages, const ChatArgs& args = {}) const;

  // bos_token, eos_token and what other tokens the model names.
  const std::map<std::string, std::string>& tokens() const { return tokens_; }

 private:
  explicit ChatTemplate(std::string subject) : subject_(std::move(subject)) {}
  void add(const std::string& name, std::string_view source, const std::string& subject);
  void add_from_config(const Value& field, const std::string& subject);
  Value read_tokens(const fs::path& folder);  // gives tokenizer_config.json, an empty one if none
  void read_folder(const fs::path& folder);
  const Template& choose(const ChatArgs& args) const;

  std::string subject_;
  bool has_names_ = false;  // several templates, each with a name
  std::map<std::string, Template> templates_;
  std::map<std::string, std::string> tokens_;
};

}  // namespace whit::jinja
