#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jinja/object.h"
#include "jinja/run.h"

namespace whit::jinja {

// The algorithms of Python's str. Texts are UTF-8; counts are in code points unless named bytes.

enum class Side { kLeft, kRight, kBoth };

// `chars` empty and unset: white space.
std::string_view strip(std::string_view text, std::optional<std::string_view> chars, Side side);

// str.split and rsplit; `separator` unset: runs of white space. `most` < 0: no limit. Parts are
// views into `text`. Errors: an empty separator, more parts than a value may hold.
std::vector<std::string_view> split(const Run& run, std::string_view text,
                                    std::optional<std::string_view> separator, Int most,
                                    bool from_right);
std::vector<std::string_view> split_lines(const Run& run, std::string_view text, bool keep_ends);

// str.replace; `most` < 0: all.
std::string replace(Interpreter& interpreter, std::string_view text, std::string_view old_part,
                    std::string_view new_part, Int most);

// The byte of the first (last) `part` in [begin, end) of `text`, npos where there is none.
std::size_t find_bytes(std::string_view text, std::string_view part, bool from_right);

// str.center: where the space cannot be halved, as Python leans.
std::string center(Interpreter& interpreter, const std::string& text, Int width, char32_t fill);

// A value that must be a text, an integer. Errors: what was found.
const std::string& expect_text(Interpreter& interpreter, const Value& value, std::string_view what);
Int expect_integer(Interpreter& interpreter, const Value& value, std::string_view what);

}  // namespace whit::jinja
