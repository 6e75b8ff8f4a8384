#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/json_field.h"
#include "text/regex.h"

namespace whit::text {

// A match of a pattern, or what lies between two; half-open bytes.
struct Part {
  std::size_t begin;
  std::size_t end;
  bool match;
};

// What text is cut or replaced by: a regular expression, a string, or a set of characters.
class Pattern {
 public:
  using CharacterSet = bool (*)(char32_t);

  explicit Pattern(Regex regex) : what_(std::move(regex)) {}
  explicit Pattern(std::string literal) : what_(std::move(literal)) {}
  explicit Pattern(CharacterSet set) : what_(set) {}

  // All of `text` (valid UTF-8), in matches and what lies between them; an empty match is an empty
  // part. Each character of a set is a match of its own.
  // Errors: kInput where the search of a regular expression exceeds its limits.
  void find(std::string_view text, RegexScratch& scratch, std::vector<Part>& parts) const;

  // The string, where the pattern is one.
  const std::string* literal() const { return std::get_if<std::string>(&what_); }

 private:
  std::variant<Regex, std::string, CharacterSet> what_;
};

// {"String": ...} or {"Regex": ...}. Errors: kInput, also for an empty one; kUnsupported.
Pattern read_pattern(const Field& field);

}  // namespace whit::text
