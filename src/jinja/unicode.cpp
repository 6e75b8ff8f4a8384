#include "jinja/unicode.h"

#include <unicode/uchar.h>
#include <unicode/ustring.h>

#include <algorithm>
#include <array>

#include "jinja/utf8.h"

namespace whit::jinja {

namespace {

using Mapping = int32_t (*)(UChar*, int32_t, const UChar*, int32_t, UErrorCode*);

// One code point through a mapping of whole strings, which has no neighbours to look at then.
void append_mapped(std::string& out, char32_t point, Mapping mapping) {
  std::array<UChar, 2> in{};
  int32_t in_length = 0;
  U16_APPEND_UNSAFE(in.data(), in_length, static_cast<UChar32>(point));
  std::array<UChar, 16> mapped{};
  UErrorCode error = U_ZERO_ERROR;
  const int32_t length =
      mapping(mapped.data(), static_cast<int32_t>(mapped.size()), in.data(), in_length, &error);
  if (U_FAILURE(error) != 0) {
    append_point(out, point);
    return;
  }
  for (int32_t at = 0; at < length;) {
    UChar32 next = 0;
    U16_NEXT(mapped.data(), at, length, next);
    append_point(out, static_cast<char32_t>(next));
  }
}

int32_t to_upper(UChar* out, int32_t room, const UChar* in, int32_t size, UErrorCode* error) {
  return u_strToUpper(out, room, in, size, "", error);
}
int32_t to_lower(UChar* out, int32_t room, const UChar* in, int32_t size, UErrorCode* error) {
  return u_strToLower(out, room, in, size, "", error);
}
int32_t to_title(UChar* out, int32_t room, const UChar* in, int32_t size, UErrorCode* error) {
  return u_strToTitle(out, room, in, size, nullptr, "", error);
}
int32_t to_folded(UChar* out, int32_t room, const UChar* in, int32_t size, UErrorCode* error) {
  return u_strFoldCase(out, room, in, size, U_FOLD_CASE_DEFAULT, error);
}

bool has(char32_t point, UProperty property) {
  return u_hasBinaryProperty(static_cast<UChar32>(point), property) != 0;
}

// A sigma at the end of a word: a cased letter before, none after, whatever is case-ignorable.
bool is_final_sigma(const std::u32string& text, std::size_t at) {
  std::size_t k = at;
  while (k > 0 && has(text[k - 1], UCHAR_CASE_IGNORABLE)) --k;
  if (k == 0 || !has(text[k - 1], UCHAR_CASED)) return false;
  k = at + 1;
  while (k < text.size() && has(text[k], UCHAR_CASE_IGNORABLE)) ++k;
  return k == text.size() || !has(text[k], UCHAR_CASED);
}

void append_lower(std::string& out, const std::u32string& text, std::size_t at) {
  const char32_t point = text[at];
  if (point < 0x80)
    out.push_back(static_cast<char>(point >= 'A' && point <= 'Z' ? point | 0x20 : point));
  else if (point == 0x3A3)
    append_point(out, is_final_sigma(text, at) ? 0x3C2 : 0x3C3);
  else
    append_mapped(out, point, to_lower);
}

void append_upper(std::string& out, char32_t point) {
  if (point < 0x80)
    out.push_back(static_cast<char>(point >= 'a' && point <= 'z' ? point & 0x5F : point));
  else
    append_mapped(out, point, to_upper);
}

unsigned category(char32_t point) {
  return U_MASK(u_charType(static_cast<UChar32>(point)));
}

bool has_numeric_type(char32_t point, int least, int most) {
  const int type = u_getIntPropertyValue(static_cast<UChar32>(point), UCHAR_NUMERIC_TYPE);
  return type >= least && type <= most;
}

}  // namespace

bool is_in(char32_t point, CharClass char_class) {
  switch (char_class) {
    case CharClass::kAlpha:
      return (category(point) & U_GC_L_MASK) != 0;
    case CharClass::kDecimal:
      return has_numeric_type(point, U_NT_DECIMAL, U_NT_DECIMAL);
    case CharClass::kDigit:
      return has_numeric_type(point, U_NT_DECIMAL, U_NT_DIGIT);
    case CharClass::kNumeric:
      return has_numeric_type(point, U_NT_DECIMAL, U_NT_NUMERIC);
    case CharClass::kPrintable:
      return point == ' ' || (category(point) & (U_GC_C_MASK | U_GC_Z_MASK)) == 0;
    case CharClass::kLower:
      return has(point, UCHAR_LOWERCASE);
    case CharClass::kUpper:
      return has(point, UCHAR_UPPERCASE);
    case CharClass::kTitle:
      return (category(point) & U_GC_LT_MASK) != 0;
    case CharClass::kCased:
      return has(point, UCHAR_CASED);
    case CharClass::kWord:
      return point == '_' || is_in(point, CharClass::kAlpha) || is_in(point, CharClass::kNumeric);
    case CharClass::kIdentifierStart:
      return point == '_' || has(point, UCHAR_XID_START);
    case CharClass::kIdentifierPart:
      return has(point, UCHAR_XID_CONTINUE);
  }
  return false;
}

std::string upper(std::string_view utf8) {
  std::string out;
  for (std::size_t at = 0; at < utf8.size();) append_upper(out, next_point(utf8, at));
  return out;
}

std::string lower(std::string_view utf8) {
  const std::u32string text = decode(utf8);
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) append_lower(out, text, at);
  return out;
}

std::string title(std::string_view utf8) {
  const std::u32string text = decode(utf8);
  std::string out;
  bool after_cased = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (after_cased)
      append_lower(out, text, at);
    else
      append_mapped(out, text[at], to_title);
    after_cased = has(text[at], UCHAR_CASED);
  }
  return out;
}

std::string capitalize(std::string_view utf8) {
  const std::u32string text = decode(utf8);
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (at == 0)
      append_mapped(out, text[at], to_title);
    else
      append_lower(out, text, at);
  }
  return out;
}

std::string swapcase(std::string_view utf8) {
  const std::u32string text = decode(utf8);
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (has(text[at], UCHAR_UPPERCASE))
      append_lower(out, text, at);
    else if (has(text[at], UCHAR_LOWERCASE))
      append_upper(out, text[at]);
    else
      append_point(out, text[at]);
  }
  return out;
}

std::string casefold(std::string_view utf8) {
  std::string out;
  for (std::size_t at = 0; at < utf8.size();) append_mapped(out, next_point(utf8, at), to_folded);
  return out;
}

}  // namespace whit::jinja
