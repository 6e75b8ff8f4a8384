#include "cli/chat_input.h"

#include <charconv>
#include <cstdlib>

#include "base/error.h"
#include "base/file.h"

namespace whit::cli {

jinja::Value read_json_value(const std::string& file) {
  return jinja::parse_json(base::read_text_file(file), file);
}

jinja::Value read_messages(const std::string& file) {
  jinja::Value json = read_json_value(file);
  if (!json.is(jinja::Kind::kDict)) return json;
  const jinja::Value* messages = json.dict().find("messages");
  return messages == nullptr ? json : *messages;
}

std::optional<std::tm> source_date() {
  const char* text = std::getenv("SOURCE_DATE_EPOCH");
  if (text == nullptr || *text == '\0') return std::nullopt;
  const std::string_view digits = text;
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), seconds);
  const std::time_t time = seconds;
  std::tm date{};
  if (error != std::errc() || end != digits.end() || seconds < 0 ||
      ::gmtime_r(&time, &date) == nullptr)
    base::fail(base::ErrorKind::kUsage, "SOURCE_DATE_EPOCH", "'{}'; expected seconds since 1970",
               digits);
  return date;
}

}  // namespace whit::cli
