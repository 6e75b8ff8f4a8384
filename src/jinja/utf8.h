#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace whit::jinja {

// All text in this room is valid UTF-8: what enters is checked with `is_utf8`.
bool is_utf8(std::string_view bytes);
std::int64_t count_points(std::string_view utf8);

// The code point at byte `at`, which is moved past it.
char32_t next_point(std::string_view utf8, std::size_t& at);
// The code point before byte `at`, which is moved to its start.
char32_t previous_point(std::string_view utf8, std::size_t& at);
void append_point(std::string& utf8, char32_t point);

std::u32string decode(std::string_view utf8);
std::string encode(std::u32string_view points);

// The byte at which code point `index` starts (the size, past the end).
std::size_t byte_of_point(std::string_view utf8, std::int64_t index);

// Python's str.isspace of one character.
bool is_space(char32_t point);

}  // namespace whit::jinja
