// Oniguruma's dialect (what tokenizer.json is written in) to PCRE2's. Both read most of it alike;
// what they read differently is rewritten here, or refused.
#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "text/regex.h"
#include "text/unicode_additions.h"

namespace whit::text {

namespace {

// White_Space and its complement, as members of a class. PCRE2's own \s also takes U+180E.
constexpr std::string_view kSpace =
    R"(\x09-\x0d\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kNoSpace =
    R"(\x00-\x08\x0e-\x1f\x21-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027})"
    R"(\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";
// Alphabetic, Mark, Decimal_Number, Connector_Punctuation and the numbers of Latin-1. PCRE2's own
// \w is another set. Nl, Pc are complete.
constexpr std::array<std::string_view, 3> kWordCategories = {"L", "M", "Nd"};
constexpr std::string_view kWord = R"(\p{Nl}\p{Pc}\x{b2}\x{b3}\x{b9}\x{bc}-\x{be}\x{24b6}-\x{24e9})"
                                   R"(\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})";

// Categories whose members are those of PCRE2 and the additions. Some of Mn, Cn, C moved elsewhere.
constexpr std::array<std::string_view, 31> kCategories = {
    "L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mc", "Me", "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd",
    "Ps", "Pe", "Pi", "Pf", "Po", "S",  "Sm", "Sc", "Sk", "So", "Z",  "Zs", "Zl", "Zp", "Cc"};
constexpr int kMaxClassDepth = 16;
constexpr std::array<std::string_view, 3> kScripts = {"Han", "Hiragana", "Katakana"};

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& subject, bool additions)
      : pattern_(pattern), subject_(subject), additions_(additions) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        escape(false);
      } else if (c == '[') {
        put_class(read_class(0));
      } else if (c == '(') {
        group();
      } else if (c == '{') {
        quantifier();
      } else {
        if (c == ')' && !caseless_.empty()) caseless_.pop_back();
        out_.push_back(c);
        ++at_;
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    base::fail(base::ErrorKind::kUnsupported, subject_,
               "{} at byte {} of the regular expression {:?}", what, at_, pattern_);
  }

  bool is_caseless() const { return all_caseless_ || (!caseless_.empty() && caseless_.back()); }

  char peek(std::size_t ahead) const {
    return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0';
  }

  void group() {
    if (peek(1) == '*') refuse("a verb '(*'");
    caseless_.push_back(is_caseless());
    if (peek(1) != '?') {
      out_.push_back('(');
      ++at_;
      return;
    }
    constexpr std::array<std::string_view, 7> kKnown = {"(?:",  "(?i:", "(?=", "(?!",
                                                        "(?<=", "(?<!", "(?>"};
    for (const std::string_view known : kKnown) {
      if (pattern_.substr(at_, known.size()) == known) {
        if (known == "(?i:") caseless_.back() = true;
        out_.append(known);
        at_ += known.size();
        return;
      }
    }
    if (at_ == 0 && pattern_.substr(0, 4) == "(?i)") {
      caseless_ = {};
      all_caseless_ = true;
      out_.append("(?i)");
      at_ += 4;
      return;
    }
    refuse("a group that is none of (?: (?i: (?= (?! (?<= (?<! (?>");
  }

  void quantifier() {
    const std::size_t close = pattern_.find('}', at_);
    if (close == std::string_view::npos || peek(1) == ',' || peek(1) == '}') {
      refuse("a '{' that is no counted repeat");
    }
    for (std::size_t i = at_ + 1; i < close; ++i) {
      if (std::isdigit(static_cast<unsigned char>(pattern_[i])) == 0 && pattern_[i] != ',') {
        refuse("a '{' that is no counted repeat");
      }
    }
    if (close + 1 < pattern_.size() && pattern_[close + 1] == '+') refuse("'}+'");
    out_.append(pattern_.substr(at_, close + 1 - at_));
    at_ = close + 1;
  }

  // A class: its members, and what a member must (?= or must not (?! be besides.
  struct Class {
    bool negated = false;
    std::string members;
    std::string conditions;
  };

  // Reads the class at at_ and what lies in it; goes past its ']'.
  Class read_class(int depth) {
    if (depth > kMaxClassDepth) refuse("a class this deep");
    Class made;
    std::string outside;
    outside.swap(out_);
    ++at_;
    if (peek(0) == '^') {
      made.negated = true;
      ++at_;
    }
    if (peek(0) == ']') refuse("an empty class");
    while (at_ < pattern_.size() && pattern_[at_] != ']') {
      if (pattern_[at_] == '\\') {
        escape(true);
      } else if (pattern_[at_] == '[') {
        if (peek(1) == ':') refuse("a POSIX bracket");
        const Class inner = read_class(depth + 1);
        if (inner.negated || !inner.conditions.empty()) refuse("this class within a class");
        out_.append(inner.members);
      } else if (pattern_[at_] == '&' && peek(1) == '&') {
        made.conditions += read_condition(depth);
      } else {
        out_.push_back(pattern_[at_++]);
      }
    }
    if (at_ == pattern_.size()) {
      base::fail(base::ErrorKind::kInput, subject_, "a class without ']' in {:?}; expected its end",
                 pattern_);
    }
    ++at_;
    made.members.swap(out_);
    out_.swap(outside);
    return made;
  }

  // The '&&[...]' at at_, which ends its class or stands before another.
  std::string read_condition(int depth) {
    at_ += 2;
    if (peek(0) != '[') refuse("an intersection with what is no class");
    const Class operand = read_class(depth + 1);
    if (!operand.conditions.empty() || (peek(0) != ']' && peek(0) != '&')) {
      refuse("this intersection of classes");
    }
    return fmt::format("{}[{}])", operand.negated ? "(?!" : "(?=", operand.members);
  }

  void put_class(const Class& made) {
    if (made.conditions.empty()) {
      out_.append(made.negated ? "[^" : "[").append(made.members).append("]");
      return;
    }
    if (made.negated || made.members.empty()) refuse("this intersection of classes");
    out_.append("(?:").append(made.conditions).append("[").append(made.members).append("])");
  }

  // Puts the members of a class, as a class of its own unless within one, and goes on at `after`.
  void set(std::string_view members, bool negated, bool in_class, std::size_t after) {
    if (in_class) {
      if (negated) refuse("this negated set within a class");
      out_.append(members);
    } else {
      out_.append(negated ? "[^" : "[").append(members).append("]");
    }
    at_ = after;
  }

  std::string word_members() const {
    std::string out(kWord);
    for (const std::string_view category : kWordCategories) out += members(category);
    return out;
  }

  void escape(bool in_class) {
    const char c = peek(1);
    switch (c) {
      case 's':
        return set(kSpace, false, in_class, at_ + 2);
      case 'S':
        return set(kNoSpace, false, in_class, at_ + 2);
      case 'w':
      case 'W':
        return set(word_members(), c == 'W', in_class, at_ + 2);
      case 'd':
      case 'D':
        return set(members("Nd"), c == 'D', in_class, at_ + 2);
      case 'v':
        out_.append(R"(\x0b)");
        at_ += 2;
        return;
      case 'p':
      case 'P':
        return property(in_class);
      case 'u':
      case 'x':
        return code_point();
      case 'n':
      case 'r':
      case 't':
      case 'f':
      case 'a':
      case 'e':
        break;
      default:
        if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '\0') {
          refuse("an escape that whit does not know");
        }
        // A character outside ASCII stands for itself; its other bytes follow as they are.
        if (static_cast<unsigned char>(c) >= 0x80) {
          ++at_;
          return;
        }
    }
    out_.append(pattern_.substr(at_, 2));
    at_ += 2;
  }

  // Members of a category or script, as they stand within a class. PCRE2 reads a script's bare
  // name as its extensions.
  std::string members(std::string_view name) const {
    const bool script = name.size() > 2;
    std::string out = fmt::format(R"(\p{{{}{}}})", script ? "sc:" : "", name);
    if (!additions_) return out;
    for (const UnicodeAddition& range : script ? script_additions() : category_additions()) {
      if (range.name.substr(0, name.size()) != name) continue;
      out += fmt::format(R"(\x{{{:x}}}-\x{{{:x}}})", static_cast<std::uint32_t>(range.begin),
                         static_cast<std::uint32_t>(range.end));
    }
    return out;
  }

  void property(bool in_class) {
    const std::size_t close = pattern_.find('}', at_);
    if (peek(2) != '{' || close == std::string_view::npos) refuse("a property without braces");
    std::string_view name = pattern_.substr(at_ + 3, close - at_ - 3);
    bool negated = peek(1) == 'P';
    if (!name.empty() && name.front() == '^') {
      negated = !negated;
      name.remove_prefix(1);
    }
    const auto among = [&](const auto& known) {
      return std::find(known.begin(), known.end(), name) != known.end();
    };
    if (!among(kCategories) && !among(kScripts)) refuse("a property that whit does not know");
    const bool cased = name == "Lu" || name == "Ll" || name == "Lt";
    if (cased && is_caseless()) refuse("letter case without case");
    set(members(name), negated, in_class, close + 1);
  }

  void code_point() {
    std::size_t digits = at_ + 2;
    std::size_t count = 2;
    std::size_t after = 0;
    if (peek(1) == 'u') {
      count = 4;
    } else if (peek(2) == '{') {
      const std::size_t close = pattern_.find('}', at_);
      ++digits;
      count = close == std::string_view::npos ? 0 : close - digits;
      after = 1;
    }
    if (count == 0 || count > 8 || digits + count > pattern_.size()) refuse("this code point");
    const std::string_view hex = pattern_.substr(digits, count);
    for (const char c : hex) {
      if (std::isxdigit(static_cast<unsigned char>(c)) == 0) refuse("this code point");
    }
    if (peek(1) == 'x' && after == 0 && hex.front() > '7') refuse("a byte that is no character");
    out_.append(R"(\x{)").append(hex).append("}");
    at_ = digits + count + after;
  }

  std::string_view pattern_;
  const std::string& subject_;
  bool additions_;
  bool all_caseless_ = false;
  std::vector<bool> caseless_;  // of the groups around at_
  std::size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string translate_pattern(std::string_view pattern, const std::string& subject,
                              bool additions) {
  return Translator(pattern, subject, additions).run();
}

}  // namespace whit::text
