#pragma once

#include <string>
#include <string_view>

namespace whit::data {

// Finds where JSON values end without building them: brackets and strings are followed, the rest is
// left to the parser that reads a value later. Positions are bytes of `text`.
class JsonScanner {
 public:
  JsonScanner(std::string_view text, std::string subject)
      : text_(text), subject_(std::move(subject)) {}

  // The first byte from `at` on that is no white space, or the end of the text.
  std::size_t skip_space(std::size_t at) const;
  // The end of the value that begins at `at`. Errors: kInput where the text ends within it.
  std::size_t skip_value(std::size_t at) const;
  // Whether another element follows: behind ',' true and `at` is its first byte, behind `close`
  // false and `at` is the byte after it. Errors: kInput where it is something else.
  bool next_element(std::size_t& at, char close) const;
  char at(std::size_t position) const { return position < text_.size() ? text_[position] : '\0'; }
  // Throws kInput: "byte N: found ...; expected EXPECTED".
  [[noreturn]] void refuse(std::size_t position, std::string_view expected) const;

 private:
  std::size_t skip_string(std::size_t at) const;

  std::string_view text_;
  std::string subject_;
};

}  // namespace whit::data
