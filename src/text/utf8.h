#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace whit::text {

// One step of UTF-8 decoding. Where the bytes are not a character, `valid` is false and `size` is
// the longest run that began like one (at least 1), which Unicode's recommended practice replaces
// by a single U+FFFD; `cut` tells that the text ended before that run did.
struct Utf8Step {
  char32_t code = 0xFFFD;
  std::size_t size = 1;
  bool valid = false;
  bool cut = false;
};

Utf8Step utf8_step(std::string_view text, std::size_t at);

bool is_utf8(std::string_view text);

// `text` with every ill-formed run replaced by U+FFFD.
std::string repair_utf8(std::string_view text);

void append_utf8(std::string& out, char32_t code);

// Where the character that ends before `end` (above 0) begins, in valid UTF-8.
std::size_t character_before(std::string_view text, std::size_t end);

// Unicode's White_Space property.
bool is_white_space(char32_t code);

}  // namespace whit::text
