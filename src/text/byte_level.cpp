#include "text/byte_level.h"

#include <array>

#include "text/utf8.h"

namespace whit::text {

namespace {

constexpr bool stands_for_itself(std::uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr std::array<char32_t, 256> make_chars() {
  std::array<char32_t, 256> chars{};
  char32_t next = 0x100;
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    chars[byte] = stands_for_itself(byte) ? static_cast<char32_t>(byte) : next++;
  }
  return chars;
}

constexpr std::array<char32_t, 256> kChars = make_chars();
constexpr std::size_t kCodes = 0x100 + 68;

constexpr std::array<std::int16_t, kCodes> make_bytes() {
  std::array<std::int16_t, kCodes> bytes{};
  bytes.fill(-1);
  for (std::size_t byte = 0; byte < 256; ++byte) {
    bytes[kChars[byte]] = static_cast<std::int16_t>(byte);
  }
  return bytes;
}

constexpr std::array<std::int16_t, kCodes> kBytes = make_bytes();

}  // namespace

char32_t byte_to_char(std::uint8_t byte) {
  return kChars[byte];
}

std::optional<std::uint8_t> char_to_byte(char32_t code) {
  if (code >= kCodes || kBytes[code] < 0) return std::nullopt;
  return static_cast<std::uint8_t>(kBytes[code]);
}

std::string to_byte_chars(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 4);
  for (const char c : bytes) append_utf8(out, kChars[static_cast<std::uint8_t>(c)]);
  return out;
}

std::string from_byte_chars(std::string_view token) {
  std::string out;
  out.reserve(token.size());
  for (std::size_t at = 0; at < token.size();) {
    const Utf8Step step = utf8_step(token, at);
    const auto byte = step.valid ? char_to_byte(step.code) : std::nullopt;
    if (!byte) return std::string(token);
    out.push_back(static_cast<char>(*byte));
    at += step.size;
  }
  return out;
}

}  // namespace whit::text
