#define PCRE2_CODE_UNIT_WIDTH 8
#include "formats/name_matcher.h"

#include <pcre2.h>

#include <algorithm>
#include <array>

namespace whit::formats {

namespace {

// A name is short; a pattern that needs more steps than this was made to need them.
constexpr std::uint32_t kMatchLimit = 200'000;
constexpr std::uint32_t kHeapLimitKiB = 1024;

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 160> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

}  // namespace

NamePattern::NamePattern(const std::string& pattern, base::ErrorKind kind, PatternPlace place)
    : pattern_(pattern), kind_(kind) {
  int error = 0;
  PCRE2_SIZE position = 0;
  const std::uint32_t options = (place == PatternPlace::kStart ? PCRE2_ANCHORED : 0U) | PCRE2_UTF |
                                PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                   options, &error, &position, nullptr);
  if (code == nullptr)
    base::fail(kind, "re:" + pattern, "{} at its character {}; expected a regular expression",
               message_of(error), position);
  compiled_ =
      std::shared_ptr<void>(code, [](void* p) { pcre2_code_free(static_cast<pcre2_code*>(p)); });
}

bool NamePattern::matches(std::string_view name) const {
  const auto* code = static_cast<const pcre2_code*>(compiled_.get());
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create(1, nullptr), pcre2_match_data_free);
  const std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> context(
      pcre2_match_context_create(nullptr), pcre2_match_context_free);
  pcre2_set_match_limit(context.get(), kMatchLimit);
  pcre2_set_heap_limit(context.get(), kHeapLimitKiB);
  const int result = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(name.data()), name.size(), 0, 0,
                                 data.get(), context.get());
  if (result >= 0) return true;
  if (result == PCRE2_ERROR_NOMATCH) return false;
  base::fail(kind_, "re:" + pattern_, "{} on the name '{}'; expected a simpler expression",
             message_of(result), name);
}

NameMatcher::NameMatcher(const std::vector<std::string>& patterns, base::ErrorKind kind) {
  for (const std::string& pattern : patterns) {
    if (pattern.rfind("re:", 0) == 0) {
      patterns_.emplace_back(pattern.substr(3), kind);
    } else {
      exact_.push_back(pattern);
    }
  }
}

bool NameMatcher::matches(std::string_view module, std::string_view class_name) const {
  return std::any_of(
             exact_.begin(), exact_.end(),
             [&](const std::string& name) { return name == module || name == class_name; }) ||
         std::any_of(patterns_.begin(), patterns_.end(),
                     [&](const NamePattern& pattern) { return pattern.matches(module); });
}

}  // namespace whit::formats
