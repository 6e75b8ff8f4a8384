#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstdint>
#include <utility>

#include "base/error.h"

namespace whit::text {

namespace {

constexpr std::size_t kJitStackStart = 32 * 1024;
constexpr std::size_t kJitStackLimit = 16 * 1024 * 1024;
constexpr std::uint32_t kMatchLimit = 20'000'000;
constexpr std::uint32_t kHeapLimitKiB = 256 * 1024;

std::string pcre2_message(int code) {
  PCRE2_UCHAR buffer[256];
  if (pcre2_get_error_message(code, buffer, sizeof(buffer)) < 0) {
    return fmt::format("PCRE2 error {}", code);
  }
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

struct RegexScratch::State {
  pcre2_match_data* match = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(kJitStackStart, kJitStackLimit, nullptr);
};

RegexScratch::RegexScratch() : state_(std::make_unique<State>()) {
  if (state_->match == nullptr || state_->context == nullptr) {
    base::fail(base::ErrorKind::kResource, "memory", "PCRE2 got none for a search");
  }
  pcre2_set_match_limit(state_->context, kMatchLimit);
  pcre2_set_heap_limit(state_->context, kHeapLimitKiB);
  if (state_->stack != nullptr) pcre2_jit_stack_assign(state_->context, nullptr, state_->stack);
}

RegexScratch::~RegexScratch() {
  if (state_->stack != nullptr) pcre2_jit_stack_free(state_->stack);
  pcre2_match_context_free(state_->context);
  pcre2_match_data_free(state_->match);
}

struct Regex::Code {
  pcre2_code* code = nullptr;
  Code(const std::string& pattern, const std::string& subject);
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() { pcre2_code_free(code); }
};

Regex::Code::Code(const std::string& pattern, const std::string& subject) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_compile_context* context = pcre2_compile_context_create(nullptr);
  pcre2_set_newline(context, PCRE2_NEWLINE_LF);
  code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                       PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
                       &offset, context);
  pcre2_compile_context_free(context);
  if (code == nullptr) {
    base::fail(base::ErrorKind::kInput, subject,
               "{} at byte {} of {:?}; expected a regular expression that compiles",
               pcre2_message(error), offset, pattern);
  }
  // Without the JIT (a system that forbids it) the interpreter gives the same matches.
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
}

Regex::Regex(std::string_view pattern, std::string subject) : subject_(std::move(subject)) {
  const std::string plain = translate_pattern(pattern, subject_, false);
  const std::string whole = translate_pattern(pattern, subject_, true);
  plain_code_ = std::make_unique<Code>(plain, subject_);
  if (whole != plain) code_ = std::make_unique<Code>(whole, subject_);
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

std::optional<Match> Regex::search(std::string_view text, std::size_t from,
                                   RegexScratch& scratch) const {
  const Code& code = scratch.additions_ && code_ ? *code_ : *plain_code_;
  // The caller's text is valid, and checking it again at every call would be quadratic.
  const int found =
      pcre2_match(code.code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                  PCRE2_NO_UTF_CHECK, scratch.state_->match, scratch.state_->context);
  if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (found < 0) {
    base::fail(base::ErrorKind::kInput, subject_,
               "{} in a text of {} bytes; expected a search within its limits",
               pcre2_message(found), text.size());
  }
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(scratch.state_->match);
  return Match{range[0], range[1]};
}

}  // namespace whit::text
