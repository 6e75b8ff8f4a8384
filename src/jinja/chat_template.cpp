#include "jinja/chat_template.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/file.h"

namespace whit::jinja {

namespace {

using base::ErrorKind;
using base::fail;

constexpr std::uint64_t kMaxConfigBytes = 100'000'000;

Value read_object(const fs::path& path) {
  Value json = parse_json(base::read_text_file(path, kMaxConfigBytes), path.string());
  if (!json.is(Kind::kDict))
    fail(ErrorKind::kInput, path.string(), "no object at the top; expected one");
  return json;
}

// "<s>" or {"content": "<s>", ...}; nullopt where the field is neither.
std::optional<std::string> token_text(const Value& value) {
  if (value.is_text()) return value.bytes();
  if (!value.is(Kind::kDict)) return std::nullopt;
  const Value* content = value.dict().find("content");
  if (content == nullptr || !content->is_text()) return std::nullopt;
  return content->bytes();
}

void collect_tokens(const Value& config, std::map<std::string, std::string>& tokens) {
  for (const auto& [key, value] : config.dict().entries()) {
    const std::string& name = key.bytes();
    if (name == "extra_special_tokens" && value.is(Kind::kDict)) {
      for (const auto& [extra, token] : value.dict().entries())
        if (const auto text = token_text(token)) tokens[extra.bytes()] = *text;
    } else if (name.ends_with("_token")) {
      if (const auto text = token_text(value)) tokens[name] = *text;
    }
  }
}

// What transformers does to each message before its template sees it.
Value plain_message(const Value& message, const std::string& subject) {
  if (!message.is(Kind::kDict))
    fail(ErrorKind::kInput, subject, "a message that is no object; expected role and content");
  constexpr std::array<std::string_view, 3> kReasoning{"reasoning_content", "thinking",
                                                       "reasoning"};
  const Dict& given = message.dict();
  const Value* reasoning = nullptr;
  for (const std::string_view name : kReasoning)
    if (reasoning == nullptr)
      if (const Value* value = given.find(name); value != nullptr && !value->is_none())
        reasoning = value;
  auto plain = std::make_shared<Dict>();
  if (reasoning != nullptr) plain->set("thinking", *reasoning);
  for (const auto& [key, value] : given.entries())
    if (!value.is_none()) plain->set(key, value);
  if (reasoning != nullptr) plain->set("reasoning_content", *reasoning);
  return Value(std::shared_ptr<const Dict>(std::move(plain)));
}

void check_list_of_objects(const Value& value, std::string_view what, const std::string& subject) {
  const auto is_object = [](const Value& item) { return item.is(Kind::kDict); };
  if (!value.is_sequence() || !std::all_of(value.items().begin(), value.items().end(), is_object))
    fail(ErrorKind::kInput, subject, "{} are no list of objects; expected one", what);
}

}  // namespace

void ChatTemplate::add(const std::string& name, std::string_view source,
                       const std::string& subject) {
  templates_.insert_or_assign(name, Template(source, subject));
}

void ChatTemplate::add_from_config(const Value& field, const std::string& subject) {
  if (field.is_text()) return add("default", field.bytes(), subject + "[chat_template]");
  if (!field.is_sequence())
    fail(ErrorKind::kInput, subject,
         "chat_template is no text; expected one, or a list of "
         "{{\"name\", \"template\"}}");
  has_names_ = true;
  for (const Value& entry : field.items()) {
    const auto text_of = [&](std::string_view key) {
      const Value* value = entry.is(Kind::kDict) ? entry.dict().find(key) : nullptr;
      if (value == nullptr || !value->is_text())
        fail(ErrorKind::kInput, subject,
             "an entry of chat_template without {}; expected "
             "{{\"name\", \"template\"}}",
             key);
      return value->bytes();
    };
    const std::string name = text_of("name");
    add(name, text_of("template"), subject + "[chat_template/" + name + "]");
  }
}

Value ChatTemplate::read_tokens(const fs::path& folder) {
  const fs::path config_file = folder / "tokenizer_config.json";
  Value config = Value(std::make_shared<const Dict>());
  if (fs::exists(config_file)) config = read_object(config_file);
  collect_tokens(config, tokens_);
  const fs::path map_file = folder / "special_tokens_map.json";
  if (config.dict().find("added_tokens_decoder") == nullptr && fs::exists(map_file))
    collect_tokens(read_object(map_file), tokens_);
  return config;
}

void ChatTemplate::read_folder(const fs::path& folder) {
  const Value config = read_tokens(folder);
  const fs::path file = folder / "chat_template.jinja";
  if (fs::exists(file)) add("default", base::read_text_file(file), file.string());
  const fs::path more = folder / "additional_chat_templates";
  if (fs::is_directory(more)) {
    for (const auto& entry : fs::directory_iterator(more)) {
      if (entry.path().extension() != ".jinja") continue;
      has_names_ = true;
      add(entry.path().stem().string(), base::read_text_file(entry.path()), entry.path().string());
    }
  }
  if (!templates_.empty()) return;
  const Value* field = config.dict().find("chat_template");
  if (field != nullptr && !field->is_none())
    return add_from_config(*field, (folder / "tokenizer_config.json").string());
  const fs::path json_file = folder / "chat_template.json";
  if (!fs::exists(json_file)) return;
  const Value json = read_object(json_file);
  if (const Value* inner = json.dict().find("chat_template"))
    add_from_config(*inner, json_file.string());
}

bool ChatTemplate::exists_in(const fs::path& folder) {
  for (const char* name : {"chat_template.jinja", "chat_template.json"})
    if (fs::exists(folder / name)) return true;
  if (fs::is_directory(folder / "additional_chat_templates")) return true;
  const fs::path config_file = folder / "tokenizer_config.json";
  if (!fs::exists(config_file)) return false;
  const Value config = read_object(config_file);
  const Value* field = config.dict().find("chat_template");
  return field != nullptr && !field->is_none();
}

ChatTemplate ChatTemplate::load(const fs::path& path, const fs::path& model) {
  ChatTemplate chat(path.string());
  if (fs::is_directory(path)) {
    chat.read_folder(path);
  } else if (path.extension() != ".json") {
    chat.add("default", base::read_text_file(path), path.string());
    chat.read_tokens(path.parent_path());
  } else {
    const Value json = read_object(path);
    collect_tokens(json, chat.tokens_);
    const Value* field = json.dict().find("chat_template");
    if (field != nullptr && !field->is_none()) chat.add_from_config(*field, path.string());
  }
  if (!model.empty()) {
    chat.tokens_.clear();
    chat.read_tokens(model);
  }
  if (chat.templates_.empty())
    fail(ErrorKind::kInput, path.string(),
         "no chat template; expected chat_template.jinja, or chat_template in "
         "tokenizer_config.json");
  return chat;
}

ChatTemplate ChatTemplate::from_source(std::string_view source, std::string subject) {
  ChatTemplate chat(subject);
  chat.add("default", source, subject);
  return chat;
}

const Template& ChatTemplate::choose(const ChatArgs& args) const {
  const bool has_tools = !args.tools.is_missing() && !args.tools.is_none();
  const auto named = [&](const std::string& name) { return templates_.find(name); };
  auto found = named("default");
  if (!args.name.empty())
    found = named(args.name);
  else if (has_names_ && has_tools && named("tool_use") != templates_.end())
    found = named("tool_use");
  if (found != templates_.end()) return found->second;
  std::string names;
  for (const auto& [name, unused] : templates_) names += (names.empty() ? "" : ", ") + name;
  fail(ErrorKind::kInput, subject_, "no chat template named '{}'; expected one of {}",
       args.name.empty() ? "default" : args.name, names);
}

std::string ChatTemplate::render(const Value& messages, const ChatArgs& args) const {
  if (!messages.is_sequence())
    fail(ErrorKind::kInput, "messages", "no list; expected a list of messages");
  if (messages.items().empty())
    fail(ErrorKind::kInput, "messages", "an empty list; expected at least one message");
  std::vector<Value> plain;
  for (std::size_t k = 0; k < messages.items().size(); ++k)
    plain.push_back(plain_message(messages.items()[k], fmt::format("messages[{}]", k)));
  Dict variables;
  for (const auto& [name, token] : tokens_) variables.set(name, Value::text(token));
  for (const auto& [name, value] : args.variables.entries()) variables.set(name, value);
  variables.set("messages", Value::list(std::move(plain)));
  const auto optional_list = [&](const char* name, const Value& value) {
    const bool is_given = !value.is_missing() && !value.is_none();
    if (is_given) check_list_of_objects(value, name, name);
    if (is_given || args.variables.find(name) == nullptr)
      variables.set(name, is_given ? value : Value(None{}));
  };
  optional_list("tools", args.tools);
  optional_list("documents", args.documents);
  if (args.add_generation_prompt || args.variables.find("add_generation_prompt") == nullptr)
    variables.set("add_generation_prompt", Value(args.add_generation_prompt));
  return choose(args).render(variables, args.now);
}

std::string ChatTemplate::render(const Json& messages, const ChatArgs& args) const {
  return render(jinja::from_json(messages, "messages"), args);
}

}  // namespace whit::jinja
