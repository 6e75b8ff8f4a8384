#include <unicode/uchar.h>

#include "jinja/lexer.h"
#include "jinja/utf8.h"

namespace whit::jinja {

namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// `count` hexadecimal digits at `at`, which is moved past them.
char32_t read_hex(const Run& run, std::string_view text, std::size_t& at, int count) {
  char32_t point = 0;
  for (int k = 0; k < count; ++k, ++at) {
    const int digit = at < text.size() ? hex_value(text[at]) : -1;
    if (digit < 0) run.fail("truncated escape in a string; expected {} hexadecimal digits", count);
    point = point * 16 + static_cast<char32_t>(digit);
  }
  if (point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
    run.fail("U+{:04X} in a string; expected a Unicode character", static_cast<unsigned>(point));
  return point;
}

char32_t read_name(const Run& run, std::string_view text, std::size_t& at) {
  const auto end =
      at < text.size() && text[at] == '{' ? text.find('}', at) : std::string_view::npos;
  if (end == std::string_view::npos) run.fail("malformed \\N character escape");
  const std::string name(text.substr(at + 1, end - at - 1));
  at = end + 1;
  UErrorCode error = U_ZERO_ERROR;
  const UChar32 point = u_charFromName(U_UNICODE_CHAR_NAME, name.c_str(), &error);
  if (U_FAILURE(error) != 0) run.fail("unknown Unicode character name '{}'", name);
  return static_cast<char32_t>(point);
}

// Python first writes other characters as escapes: after a backslash they stay so.
void append_spelled(std::string& out, char32_t point) {
  const auto code = static_cast<unsigned>(point);
  if (code < 0x100)
    out += fmt::format("\\x{:02x}", code);
  else
    out += code < 0x10000 ? fmt::format("\\u{:04x}", code) : fmt::format("\\U{:08x}", code);
}

constexpr std::string_view kPlain = "\\'\"abfnrtv";
constexpr std::string_view kMeant = "\\'\"\a\b\f\n\r\t\v";

}  // namespace

std::string unescape(const Run& run, std::string_view literal) {
  std::string out;
  for (std::size_t at = 0; at < literal.size();) {
    if (literal[at] != '\\') {
      out.push_back(literal[at++]);
      continue;
    }
    ++at;
    const char c = literal[at];
    if (const auto known = kPlain.find(c); known != std::string_view::npos) {
      out.push_back(kMeant[known]);
      ++at;
    } else if (c == '\n') {
      ++at;
    } else if (c >= '0' && c <= '7') {
      char32_t point = 0;
      for (int k = 0; k < 3 && at < literal.size() && literal[at] >= '0' && literal[at] <= '7'; ++k)
        point = point * 8 + static_cast<char32_t>(literal[at++] - '0');
      append_point(out, point);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      ++at;
      append_point(out, read_hex(run, literal, at, c == 'x' ? 2 : c == 'u' ? 4 : 8));
    } else if (c == 'N') {
      ++at;
      append_point(out, read_name(run, literal, at));
    } else if (static_cast<unsigned char>(c) < 0x80) {
      out.push_back('\\');
    } else {
      append_spelled(out, next_point(literal, at));
    }
  }
  return out;
}

}  // namespace whit::jinja
