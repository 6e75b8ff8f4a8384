#pragma once

#include <string>
#include <string_view>

namespace whit::jinja {

// What Python's str asks of one character, by ICU's tables.
enum class CharClass {
  kAlpha,
  kDecimal,
  kDigit,
  kNumeric,
  kPrintable,
  kLower,
  kUpper,
  kTitle,
  kCased,
  kWord,             // \w of Python's re
  kIdentifierStart,  // of a name in Python
  kIdentifierPart,
};
bool is_in(char32_t point, CharClass char_class);

// Python's str.upper, .lower, .title, .capitalize, .swapcase, .casefold: full mappings (ß -> SS),
// a final sigma where Python writes one.
std::string upper(std::string_view utf8);
std::string lower(std::string_view utf8);
std::string title(std::string_view utf8);
std::string capitalize(std::string_view utf8);
std::string swapcase(std::string_view utf8);
std::string casefold(std::string_view utf8);

}  // namespace whit::jinja
