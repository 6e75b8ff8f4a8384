#pragma once

#include <span>
#include <string_view>

namespace whit::text {

// Characters that Unicode 15 and 16 assigned: the reference's regular expressions know them, and
// those of PCRE2 10.42 (Unicode 14) do not. With a newer PCRE2 they are named twice, harmlessly.
struct UnicodeAddition {
  char32_t begin;
  char32_t end;           // inclusive
  std::string_view name;  // general category of two letters, or script
};

std::span<const UnicodeAddition> category_additions();  // ascending
std::span<const UnicodeAddition> script_additions();

bool is_unicode_addition(char32_t code);
bool is_mark_addition(char32_t code);  // one of category M

// Whether `text` (valid UTF-8) has any of them.
bool has_unicode_additions(std::string_view text);

}  // namespace whit::text
