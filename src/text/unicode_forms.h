#pragma once

#include <string>
#include <string_view>

namespace whit::text {

enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };

// Appends the form of `text` (valid UTF-8) to `out`, or returns false where that is `text` itself.
// Characters later than Unicode 9 stay as they are, as in the Rust library.
// Source: Unicode Standard Annex 15, by utf8proc.
bool normalize_form(UnicodeForm form, std::string_view text, std::string& out);

// Appends the lower case of one character, `bytes` being its UTF-8 (Unicode's default mapping
// without context, of Unicode 17).
void append_lowercase(char32_t code, std::string_view bytes, std::string& out);

// Whether a grapheme cluster ends between the two; `state` carries what lies before (begin with 0).
// Source: Unicode Standard Annex 29.
bool is_grapheme_break(char32_t before, char32_t after, int& state);

}  // namespace whit::text
