#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/rows.h"
#include "text/tokenizer.h"

namespace whit::data {

// A conversation as chat templates take it: [{role, content, ...}]. `joined` is what is read
// instead where the model has no chat template; empty where there is no such reading.
struct Chat {
  Json messages;
  std::string joined = {};
};

// A row that gives nothing, and why: its text is null.
struct NoContent {
  std::string reason;
};

using Content = std::variant<std::string, std::vector<text::TokenId>, Chat, NoContent>;

// What a row says. The named column, or else the first of these that it has:
//   input_ids                     ids as they are
//   text                          a text
//   messages, conversations       a chat: {role, content} or {from, value}; a column `system` is
//   its
//                                 first message
//   question (system_prompt)      system, user
//   instruction (input), output   user, assistant
// Strings of input_ids, messages and conversations are read as JSON (so CSV can carry them).
// Answers with the marks of Open-Thoughts are parted into content and reasoning_content.
// Errors: kInput, subject = name.
Content content_of(Json columns, const std::string& column, const std::string& name);

// Columns that content_of looks at when none is named.
std::vector<std::string_view> known_columns();

}  // namespace whit::data
