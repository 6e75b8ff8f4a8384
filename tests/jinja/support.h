#pragma once

#include <ctime>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "jinja/json.h"

namespace whit::jinja {

namespace fs = std::filesystem;

inline const fs::path kGolden = fs::path(WHIT_TEST_DATA) / "golden" / "jinja";
inline Value read_golden(const char* name) {
  const fs::path file = kGolden / name;
  return parse_json(base::read_text_file(file), file.string());
}

inline const fs::path kTemplates =
    fs::path(WHIT_SOURCE_DIR) / ".." / "shared" / "tokenizers" / "chat_templates";

// The date of the goldens: 1700000000 s since 1970, 2023-11-14 22:13:20 in UTC.
inline const std::tm kDate = [] {
  const std::time_t seconds = 1'700'000'000;
  std::tm date{};
  ::gmtime_r(&seconds, &date);
  return date;
}();

// FNV-1a of 64 bits, in hexadecimal, as scripts/goldens/template_reference.py has it.
inline std::string fnv1a(std::string_view text) {
  std::uint64_t value = 0xCBF29CE484222325;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  return fmt::format("{:016x}", value);
}

}  // namespace whit::jinja
