#include "data/content.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"

namespace whit::data {

namespace {

using base::ErrorKind;
using base::fail;

constexpr std::array<std::string_view, 10> kKnownColumns{
    "input_ids", "text",          "messages",    "conversations", "system",
    "question",  "system_prompt", "instruction", "input",         "output"};

// A value in an error message; texts of files need not be UTF-8.
std::string shown(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 80);
}

std::vector<text::TokenId> read_ids(const Json& array, const std::string& name) {
  std::vector<text::TokenId> ids;
  ids.reserve(array.size());
  for (const Json& item : array) {
    if (!item.is_number_integer()) {
      fail(ErrorKind::kInput, name, "id {} is {}; expected an integer", ids.size(), shown(item));
    }
    const bool negative = !item.is_number_unsigned() && item.get<std::int64_t>() < 0;
    if (negative || item.get<std::uint64_t>() > INT32_MAX) {
      fail(ErrorKind::kInput, name, "id {} is {}; expected 0 to {}", ids.size(), shown(item),
           INT32_MAX);
    }
    ids.push_back(item.get<text::TokenId>());
  }
  return ids;
}

// The text of a field that may be missing or null: both are "".
std::string optional_text(const Json& object, const char* field, const std::string& name) {
  const auto found = object.find(field);
  if (found == object.end() || found->is_null()) return {};
  if (!found->is_string()) {
    fail(ErrorKind::kInput, name, "{:?} is {}; expected a string", field, found->type_name());
  }
  return found->get<std::string>();
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

// What stands between the marks <|begin_of_WORD|> and <|end_of_WORD|>.
std::optional<std::string> between_marks(std::string_view text, std::string_view word) {
  const std::string open = fmt::format("<|begin_of_{}|>", word);
  const std::string close = fmt::format("<|end_of_{}|>", word);
  std::size_t begin = text.find(open);
  if (begin == std::string_view::npos) return std::nullopt;
  begin += open.size();
  const std::size_t end = text.find(close, begin);
  if (end == std::string_view::npos) return std::nullopt;
  return std::string(trimmed(text.substr(begin, end - begin)));
}

std::string role_of(const std::string& from, const std::string& name) {
  constexpr std::array<std::array<std::string_view, 2>, 10> kRoles{{{"human", "user"},
                                                                    {"user", "user"},
                                                                    {"gpt", "assistant"},
                                                                    {"chatgpt", "assistant"},
                                                                    {"assistant", "assistant"},
                                                                    {"model", "assistant"},
                                                                    {"bot", "assistant"},
                                                                    {"system", "system"},
                                                                    {"tool", "tool"},
                                                                    {"observation", "tool"}}};
  for (const auto& [word, role] : kRoles) {
    if (word == from) return std::string(role);
  }
  fail(ErrorKind::kInput, name, "a message from {:?}; expected system, human, gpt or tool", from);
}

Json message(std::string_view role, std::string content) {
  Json json;
  json["role"] = role;
  json["content"] = std::move(content);
  return json;
}

// {from, value} as {role, content}; {role, content, ...} as it is.
Json read_message(const Json& given, std::size_t index, const std::string& name) {
  const std::string where = fmt::format("{}: message {}", name, index);
  if (!given.is_object()) {
    fail(ErrorKind::kInput, where, "{}; expected an object", given.type_name());
  }
  if (given.contains("role")) {
    if (!given["role"].is_string()) {
      fail(ErrorKind::kInput, where, "role is {}; expected a string", given["role"].type_name());
    }
    Json kept;
    // A table holds a column for every field that some message has: null says that it is not there.
    for (const auto& [key, value] : given.items()) {
      if (!value.is_null() || key == "content") kept[key] = value;
    }
    return kept;
  }
  if (!given.contains("from") || !given.contains("value")) {
    fail(ErrorKind::kInput, where, "neither role and content nor from and value; expected either");
  }
  const std::string role = role_of(optional_text(given, "from", where), where);
  std::string content = optional_text(given, "value", where);
  const auto thought = between_marks(content, "thought");
  const auto solution = between_marks(content, "solution");
  if (role != "assistant" || !thought || !solution) return message(role, std::move(content));
  Json answer = message(role, *solution);
  answer["reasoning_content"] = *thought;
  return answer;
}

Content read_chat(const Json& columns, const Json& given, const std::string& name) {
  if (given.empty()) return NoContent{"a chat without messages"};
  Chat chat{Json::array()};
  std::size_t index = 0;
  for (const Json& entry : given) chat.messages.push_back(read_message(entry, index++, name));
  const std::string system = optional_text(columns, "system", name);
  if (!system.empty() && chat.messages.front()["role"] != "system") {
    chat.messages.insert(chat.messages.begin(), message("system", system));
  }
  return chat;
}

Content question_chat(const Json& columns, const std::string& name) {
  const std::string question = optional_text(columns, "question", name);
  if (question.empty()) return NoContent{"no question"};
  const std::string system = optional_text(columns, "system_prompt", name);
  Chat chat{Json::array(), system.empty() ? question : system + ". " + question};
  if (!system.empty()) chat.messages.push_back(message("system", system));
  chat.messages.push_back(message("user", question));
  return chat;
}

Content instruction_chat(const Json& columns, const std::string& name) {
  std::string instruction = optional_text(columns, "instruction", name);
  const std::string input = optional_text(columns, "input", name);
  const std::string output = optional_text(columns, "output", name);
  if (instruction.empty() || output.empty()) return NoContent{"no instruction or no output"};
  if (!input.empty()) instruction += "\n\n" + input;
  Chat chat{Json::array()};
  chat.messages.push_back(message("user", std::move(instruction)));
  chat.messages.push_back(message("assistant", output));
  return chat;
}

bool is_list_column(std::string_view column) {
  return column == "input_ids" || column == "messages" || column == "conversations";
}

Content read_column(const Json& columns, const std::string& column, const std::string& name) {
  const Json* value = &columns.at(column);
  Json parsed;
  if (value->is_null()) return NoContent{fmt::format("{:?} is null", column)};
  if (value->is_string() && is_list_column(column)) {
    parsed = Json::parse(value->get_ref<const std::string&>(), nullptr, false);
    if (!parsed.is_array()) {
      fail(ErrorKind::kInput, name, "{:?} is a string that holds no JSON array; expected one",
           column);
    }
    value = &parsed;
  }
  if (value->is_string()) return value->get<std::string>();
  if (!value->is_array()) {
    fail(ErrorKind::kInput, name,
         "{:?} is {}; expected a string, an array of ids or one of messages", column,
         value->type_name());
  }
  const bool chat =
      value->empty() ? column != "input_ids" && is_list_column(column) : value->front().is_object();
  if (chat) return read_chat(columns, *value, name);
  return read_ids(*value, name);
}

std::string listed(const Json& columns) {
  std::string names;
  std::size_t count = 0;
  for (const auto& [key, value] : columns.items()) {
    if (++count > 12) return names + ", ...";
    names += (names.empty() ? "" : ", ") + key;
  }
  return names.empty() ? "no columns" : names;
}

}  // namespace

std::vector<std::string_view> known_columns() {
  return {kKnownColumns.begin(), kKnownColumns.end()};
}

Content content_of(Json columns, const std::string& column, const std::string& name) {
  if (!column.empty()) {
    if (columns.contains(column)) return read_column(columns, column, name);
    fail(ErrorKind::kInput, name, "no column {:?} among {}; expected it", column, listed(columns));
  }
  for (const char* known : {"input_ids", "text", "messages", "conversations"}) {
    if (columns.contains(known)) return read_column(columns, known, name);
  }
  if (columns.contains("question")) return question_chat(columns, name);
  if (columns.contains("instruction") && columns.contains("output")) {
    return instruction_chat(columns, name);
  }
  fail(ErrorKind::kInput, name,
       "neither text nor input_ids, messages, conversations, question, or instruction and output "
       "among {}; expected one of them, or --column NAME",
       listed(columns));
}

}  // namespace whit::data
