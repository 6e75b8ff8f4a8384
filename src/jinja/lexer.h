#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "jinja/run.h"

namespace whit::jinja {

enum class TokenKind {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kText,
  kNumber,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;  // data, name, operator, the text of a literal
  Value number;
  int line = 1;
};

// How messages name a token.
std::string description(const Token& token);

// Splits a template as jinja2 does with trim_blocks, lstrip_blocks and no trailing newline: the
// last token is kEnd. Errors: kInput, with the line.
std::vector<Token> tokenize(Run& run, std::string_view source);

// A text literal's escapes, as Python's unicode-escape reads them.
std::string unescape(const Run& run, std::string_view literal);

}  // namespace whit::jinja
