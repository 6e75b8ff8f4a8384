#include "jinja/lexer.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "jinja/number.h"
#include "jinja/unicode.h"
#include "jinja/utf8.h"

namespace whit::jinja {

namespace {

constexpr std::array<std::string_view, 26> kOperators{
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
    "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// \r\n and \r become \n, and one newline at the end goes.
std::string normal_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t k = 0; k < source.size(); ++k) {
    if (source[k] != '\r') {
      out.push_back(source[k]);
      continue;
    }
    out.push_back('\n');
    if (k + 1 < source.size() && source[k + 1] == '\n') ++k;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  Lexer(Run& run, std::string_view source) : run_(run), text_(normal_newlines(source)) {}

  std::vector<Token> tokens() {
    while (at_ < text_.size()) read_root();
    add(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool starts_with(std::string_view what) const {
    return text_.compare(at_, what.size(), what) == 0;
  }
  std::size_t space_end(std::size_t at) const {
    while (at < text_.size()) {
      std::size_t next = at;
      if (!is_space(next_point(text_, next))) break;
      at = next;
    }
    return at;
  }

  void add(TokenKind kind, std::string text, Value number = {}) {
    run_.at_line(line_);
    run_.step();
    tokens_.push_back({kind, std::move(text), std::move(number), line_});
  }
  // Moves to `end`, counting lines.
  void move_to(std::size_t end) {
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         text_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
    if (end > at_) starts_line_ = text_[end - 1] == '\n';
    at_ = end;
  }

  // Text up to `end`, where a tag with this sign begins, less what the tag strips of it.
  void add_data(std::size_t end, char sign, bool strips_indent) {
    std::string_view data = std::string_view(text_).substr(at_, end - at_);
    if (sign == '-') {
      std::size_t kept = data.size();
      for (std::size_t k = kept; k > 0 && is_space(previous_point(data, k));) kept = k;
      data = data.substr(0, kept);
    } else if (sign != '+' && strips_indent) {
      const auto newline = data.rfind('\n');
      const std::size_t start = newline == std::string_view::npos ? 0 : newline + 1;
      if (start > 0 || starts_line_) {
        const bool blank = space_end(at_ + start) >= end;
        if (blank) data = data.substr(0, start);
      }
    }
    if (!data.empty()) add(TokenKind::kData, std::string(data));
    move_to(end);
  }

  char sign_at(std::size_t at) const {
    const char c = at < text_.size() ? text_[at] : '\0';
    return c == '-' || c == '+' ? c : '\0';
  }

  void read_root() {
    std::size_t begin = at_;
    while (true) {
      begin = text_.find('{', begin);
      if (begin == std::string::npos || begin + 1 >= text_.size()) {
        add(TokenKind::kData, text_.substr(at_));
        move_to(text_.size());
        return;
      }
      const char c = text_[begin + 1];
      if (c == '%' || c == '{' || c == '#') break;
      ++begin;
    }
    const char kind = text_[begin + 1];
    const char sign = sign_at(begin + 2);
    add_data(begin, sign, kind != '{');
    if (kind == '#') return read_comment(sign);
    if (kind == '%' && read_raw(sign)) return;
    add(kind == '{' ? TokenKind::kVariableBegin : TokenKind::kBlockBegin, "");
    move_to(begin + 2 + (sign != '\0' ? 1 : 0));
    read_tag(kind == '{' ? TokenKind::kVariableEnd : TokenKind::kBlockEnd);
  }

  void read_comment(char sign) {
    const std::size_t from = at_ + 2 + (sign != '\0' ? 1 : 0);
    const auto end = text_.find("#}", from);
    run_.at_line(line_);
    if (end == std::string::npos) run_.fail("Missing end of comment tag; expected #}}");
    // The sign before the end may not be the one after the beginning.
    const char last = end > from ? text_[end - 1] : '\0';
    std::size_t next = end + 2;
    if (last == '-')
      next = space_end(next);
    else if (last != '+' && next < text_.size() && text_[next] == '\n')
      ++next;
    move_to(next);
  }

  // Where `word` and the end of a block tag follow at `at`, the place after `word` and its space.
  std::size_t word_end(std::size_t at, std::string_view word) const {
    at = space_end(at);
    if (text_.compare(at, word.size(), word) != 0) return std::string::npos;
    return space_end(at + word.size());
  }

  bool read_raw(char sign) {
    std::size_t at = word_end(at_ + 2 + (sign != '\0' ? 1 : 0), "raw");
    if (at == std::string::npos) return false;
    if (text_.compare(at, 3, "-%}") == 0)
      at = space_end(at + 3);
    else if (text_.compare(at, 2, "%}") == 0)
      at += 2;
    else
      return false;
    move_to(at);
    const int line = line_;
    for (std::size_t begin = text_.find("{%", at); begin != std::string::npos;
         begin = text_.find("{%", begin + 1)) {
      const char end_sign = sign_at(begin + 2);
      std::size_t end = word_end(begin + 2 + (end_sign != '\0' ? 1 : 0), "endraw");
      if (end == std::string::npos) continue;
      const std::size_t after = block_end(end);
      if (after == std::string::npos) continue;
      add_data(begin, end_sign, true);
      move_to(after);
      return true;
    }
    run_.at_line(line);
    run_.fail("Missing end of raw directive; expected endraw");
  }

  // After +%}, -%} and the space behind, or %} and a newline; npos where none stands there.
  std::size_t block_end(std::size_t at) const {
    if (text_.compare(at, 3, "+%}") == 0) return at + 3;
    if (text_.compare(at, 3, "-%}") == 0) return space_end(at + 3);
    if (text_.compare(at, 2, "%}") != 0) return std::string::npos;
    return at + 2 < text_.size() && text_[at + 2] == '\n' ? at + 3 : at + 2;
  }
  std::size_t variable_end(std::size_t at) const {
    if (text_.compare(at, 3, "-}}") == 0) return space_end(at + 3);
    return text_.compare(at, 2, "}}") == 0 ? at + 2 : std::string::npos;
  }

  void read_tag(TokenKind end_kind) {
    std::string open;  // closing brackets that are awaited
    while (at_ < text_.size()) {
      run_.at_line(line_);
      if (open.empty()) {
        const std::size_t end =
            end_kind == TokenKind::kBlockEnd ? block_end(at_) : variable_end(at_);
        if (end != std::string::npos) {
          add(end_kind, "");
          return move_to(end);
        }
      }
      if (const std::size_t after = space_end(at_); after > at_)
        move_to(after);
      else if (!read_number() && !read_name() && !read_text())
        read_operator(open);
    }
  }

  // Digits with single underscores between; `at` itself where there is none.
  std::size_t digits_end(std::size_t at) const {
    std::size_t end = at;
    while (end < text_.size() &&
           (is_digit(text_[end]) ||
            (end > at && text_[end] == '_' && end + 1 < text_.size() && is_digit(text_[end + 1]))))
      ++end;
    return end;
  }

  std::size_t float_end() const {
    if (at_ > 0 && text_[at_ - 1] == '.') return at_;
    std::size_t end = digits_end(at_);
    if (end == at_) return at_;
    const std::size_t whole = end;
    if (end < text_.size() && text_[end] == '.') {
      const std::size_t fraction = digits_end(end + 1);
      if (fraction > end + 1) end = fraction;
    }
    if (end < text_.size() && (text_[end] | 0x20) == 'e') {
      std::size_t digits = end + 1;
      if (digits < text_.size() && (text_[digits] == '+' || text_[digits] == '-')) ++digits;
      const std::size_t exponent = digits_end(digits);
      if (exponent > digits) end = exponent;
    }
    return end > whole ? end : at_;
  }

  std::size_t integer_end() const {
    if (!is_digit(peek())) return at_;
    if (peek() != '0') return digits_end(at_);
    static constexpr std::pair<char, std::string_view> kBases[] = {
        {'b', "01"}, {'o', "01234567"}, {'x', "0123456789abcdefABCDEF"}};
    for (const auto& [letter, digits] : kBases) {
      if ((peek(1) | 0x20) != letter) continue;
      std::size_t end = at_ + 2;
      const auto is_next = [this, &digits = digits](std::size_t k) {
        return k < text_.size() && digits.find(text_[k]) != std::string_view::npos;
      };
      while (is_next(end) || (end < text_.size() && text_[end] == '_' && is_next(end + 1))) ++end;
      if (end > at_ + 2) return end;
    }
    std::size_t end = at_ + 1;
    while (end < text_.size() &&
           (text_[end] == '0' ||
            (text_[end] == '_' && end + 1 < text_.size() && text_[end + 1] == '0')))
      ++end;
    return end;
  }

  bool read_number() {
    const std::size_t fraction = float_end();
    const std::size_t end = fraction > at_ ? fraction : integer_end();
    if (end == at_) return false;
    std::string digits = text_.substr(at_, end - at_);
    std::erase(digits, '_');
    if (fraction > at_)
      add(TokenKind::kNumber, digits, Value(std::strtod(digits.c_str(), nullptr)));
    else
      add(TokenKind::kNumber, digits, Value(parse_int(run_, digits, 0).value_or(0)));
    move_to(end);
    return true;
  }

  bool read_name() {
    std::size_t end = at_;
    while (end < text_.size()) {
      std::size_t next = end;
      const char32_t point = next_point(text_, next);
      if (!is_in(point, CharClass::kWord) && !is_in(point, CharClass::kIdentifierPart)) break;
      end = next;
    }
    if (end == at_) return false;
    const std::string name = text_.substr(at_, end - at_);
    std::size_t first = 0;
    bool valid = is_in(next_point(name, first), CharClass::kIdentifierStart);
    for (std::size_t at = first; at < name.size();)
      valid = is_in(next_point(name, at), CharClass::kIdentifierPart) && valid;
    if (!valid) run_.fail("Invalid character in identifier '{}'", name);
    add(TokenKind::kName, name);
    move_to(end);
    return true;
  }

  bool read_text() {
    const char quote = peek();
    if (quote != '"' && quote != '\'') return false;
    std::size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) return false;
    add(TokenKind::kText, unescape(run_, std::string_view(text_).substr(at_ + 1, end - at_ - 1)));
    move_to(end + 1);
    return true;
  }

  void read_operator(std::string& open) {
    const auto found = std::find_if(kOperators.begin(), kOperators.end(),
                                    [&](std::string_view name) { return starts_with(name); });
    if (found == kOperators.end()) {
      std::size_t next = at_;
      next_point(text_, next);
      run_.fail("unexpected character '{}'", text_.substr(at_, next - at_));
    }
    const char c = (*found)[0];
    if (c == '{' || c == '(' || c == '[') {
      open.push_back(c == '{' ? '}' : c == '(' ? ')' : ']');
    } else if (c == '}' || c == ')' || c == ']') {
      if (open.empty()) run_.fail("unexpected '{}'", c);
      if (open.back() != c) run_.fail("unexpected '{}'; expected '{}'", c, open.back());
      open.pop_back();
    }
    add(TokenKind::kOperator, std::string(*found));
    move_to(at_ + found->size());
  }

  Run& run_;
  const std::string text_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool starts_line_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(Run& run, std::string_view source) {
  return Lexer(run, source).tokens();
}

std::string description(const Token& token) {
  switch (token.kind) {
    case TokenKind::kData:
      return "template data / text";
    case TokenKind::kVariableBegin:
      return "begin of print statement";
    case TokenKind::kVariableEnd:
      return "end of print statement";
    case TokenKind::kBlockBegin:
      return "begin of statement block";
    case TokenKind::kBlockEnd:
      return "end of statement block";
    case TokenKind::kText:
      return "string";
    case TokenKind::kNumber:
      return token.number.is(Kind::kFloat) ? "float" : "integer";
    case TokenKind::kEnd:
      return "end of template";
    default:
      return token.text;
  }
}

}  // namespace whit::jinja
