#include "jinja/utf8.h"

#include <algorithm>

namespace whit::jinja {

namespace {

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

int sequence_length(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;
  if (lead < 0xE0) return 2;
  if (lead < 0xF0) return 3;
  return lead < 0xF5 ? 4 : 0;
}

}  // namespace

bool is_utf8(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const auto length =
        static_cast<std::size_t>(sequence_length(static_cast<unsigned char>(bytes[at])));
    if (length == 0 || at + length > bytes.size()) return false;
    for (std::size_t k = 1; k < length; ++k)
      if (!is_continuation(bytes[at + k])) return false;
    const char32_t point = next_point(bytes, at);
    static constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < kLeast[length] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
      return false;
  }
  return true;
}

std::int64_t count_points(std::string_view utf8) {
  return std::count_if(utf8.begin(), utf8.end(), [](char c) { return !is_continuation(c); });
}

char32_t next_point(std::string_view utf8, std::size_t& at) {
  const auto lead = static_cast<unsigned char>(utf8[at++]);
  if (lead < 0x80) return lead;
  const int more = sequence_length(lead) - 1;
  char32_t point = lead & (0x3FU >> more);
  for (int k = 0; k < more && at < utf8.size(); ++k)
    point = (point << 6) | (static_cast<unsigned char>(utf8[at++]) & 0x3FU);
  return point;
}

char32_t previous_point(std::string_view utf8, std::size_t& at) {
  --at;
  while (at > 0 && is_continuation(utf8[at])) --at;
  std::size_t copy = at;
  return next_point(utf8, copy);
}

void append_point(std::string& utf8, char32_t point) {
  const auto put = [&](char32_t byte) { utf8.push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0 | (point >> 6));
    put(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    put(0xE0 | (point >> 12));
    put(0x80 | ((point >> 6) & 0x3F));
    put(0x80 | (point & 0x3F));
  } else {
    put(0xF0 | (point >> 18));
    put(0x80 | ((point >> 12) & 0x3F));
    put(0x80 | ((point >> 6) & 0x3F));
    put(0x80 | (point & 0x3F));
  }
}

std::u32string decode(std::string_view utf8) {
  std::u32string points;
  points.reserve(utf8.size());
  for (std::size_t at = 0; at < utf8.size();) points.push_back(next_point(utf8, at));
  return points;
}

std::string encode(std::u32string_view points) {
  std::string utf8;
  utf8.reserve(points.size());
  for (const char32_t point : points) append_point(utf8, point);
  return utf8;
}

std::size_t byte_of_point(std::string_view utf8, std::int64_t index) {
  std::size_t at = 0;
  for (; at < utf8.size(); ++at)
    if (!is_continuation(utf8[at]) && index-- == 0) return at;
  return at;
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

}  // namespace whit::jinja
