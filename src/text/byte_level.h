#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace whit::text {

// GPT-2's alphabet: every byte as one printable character. Printable Latin-1 bytes stand for
// themselves, the other 68 for U+0100 upward in their order.
char32_t byte_to_char(std::uint8_t byte);
std::optional<std::uint8_t> char_to_byte(char32_t code);

// `bytes` in that alphabet, as UTF-8.
std::string to_byte_chars(std::string_view bytes);

// The bytes that `token` spells; where one character is outside the alphabet, the token's own
// UTF-8.
std::string from_byte_chars(std::string_view token);

}  // namespace whit::text
