#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace whit::text {

// Half-open byte range of a match.
struct Match {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// What a search needs besides the pattern: one per thread, shared by all patterns.
class RegexScratch {
 public:
  RegexScratch();
  ~RegexScratch();
  RegexScratch(const RegexScratch&) = delete;
  RegexScratch& operator=(const RegexScratch&) = delete;

  // Says what the next searches' texts may hold: with Unicode's additions, patterns that name them
  // (and are slower) are used.
  void expect(bool unicode_additions) { additions_ = unicode_additions; }

 private:
  friend class Regex;
  struct State;
  std::unique_ptr<State> state_;
  bool additions_ = true;
};

// A regular expression in the dialect of tokenizer.json (Oniguruma's with Unicode classes).
// Errors: kInput where it does not compile, kUnsupported for a construct that PCRE2 reads
// differently from Oniguruma; subject as given.
class Regex {
 public:
  Regex(std::string_view pattern, std::string subject);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  // First match in `text` (valid UTF-8) at or after byte `from`, which is a character's first.
  // Errors: kInput where the search exceeds its limits.
  std::optional<Match> search(std::string_view text, std::size_t from, RegexScratch& scratch) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;        // null where the other does for every text
  std::unique_ptr<Code> plain_code_;  // for texts without Unicode's additions
  std::string subject_;
};

// The same pattern in PCRE2's dialect. additions: its classes name the characters that Unicode got
// after PCRE2's tables were made. Errors as above.
std::string translate_pattern(std::string_view pattern, const std::string& subject, bool additions);

}  // namespace whit::text
