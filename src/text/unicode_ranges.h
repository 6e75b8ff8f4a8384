#pragma once

namespace whit::text {

// Sets of characters as the Rust library has them, each of the Unicode version that it was built
// with there (scripts/goldens/make_unicode_ranges.py asks it for every code point).

// ASCII punctuation and Unicode's categories P.
bool is_punctuation(char32_t code);
// Unicode's categories N.
bool is_numeric(char32_t code);
// \w: letters, marks, decimal digits, connectors, joiners.
bool is_word(char32_t code);
// Combining marks.
bool is_mark(char32_t code);
// Characters that Unicode got after the library's normalization forms were made (Unicode 9) and
// that a later Unicode decomposes or reorders; the library leaves them as they are.
bool is_later_than_normalization(char32_t code);

}  // namespace whit::text
