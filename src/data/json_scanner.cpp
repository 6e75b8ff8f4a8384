#include "data/json_scanner.h"

#include <algorithm>

#include "base/error.h"

namespace whit::data {

std::size_t JsonScanner::skip_space(std::size_t at) const {
  return std::min(text_.find_first_not_of(" \t\r\n", at), text_.size());
}

void JsonScanner::refuse(std::size_t position, std::string_view expected) const {
  if (position >= text_.size()) {
    base::fail(base::ErrorKind::kInput, subject_, "the text ends at byte {}; expected {}",
               text_.size(), expected);
  }
  base::fail(base::ErrorKind::kInput, subject_, "{:?} at byte {}; expected {}", text_[position],
             position, expected);
}

std::size_t JsonScanner::skip_string(std::size_t at) const {
  std::size_t i = at + 1;
  while ((i = text_.find_first_of("\"\\", i)) != std::string_view::npos) {
    if (text_[i] == '"') return i + 1;
    i += 2;  // the backslash and what it escapes
  }
  refuse(text_.size(), "the end of a string");
}

std::size_t JsonScanner::skip_value(std::size_t at) const {
  std::size_t depth = 0;
  do {
    const char c = this->at(at);
    if (c == '"') {
      at = skip_string(at);
    } else if (c == '{' || c == '[') {
      ++depth;
      ++at;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
      ++at;
    } else if (depth > 0 && (c == ',' || c == ':')) {
      ++at;
    } else {
      const std::size_t end = std::min(text_.find_first_of(",:{}[]\" \t\r\n", at), text_.size());
      if (end == at) refuse(at, "a value");
      at = end;
    }
    if (depth > 0) {
      at = skip_space(at);
      if (at >= text_.size()) refuse(at, "a closing bracket");
    }
  } while (depth > 0);
  return at;
}

bool JsonScanner::next_element(std::size_t& at, char close) const {
  at = skip_space(at);
  if (this->at(at) == close) {
    ++at;
    return false;
  }
  if (this->at(at) != ',') refuse(at, fmt::format("',' or '{}'", close));
  at = skip_space(at + 1);
  return true;
}

}  // namespace whit::data
