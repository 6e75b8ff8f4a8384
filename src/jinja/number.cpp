#include "jinja/number.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "jinja/utf8.h"

namespace whit::jinja {

namespace {

constexpr double kIntEdge = 0x1p126;

// Outer space removed, digits of other scripts made ASCII; nullopt where the text cannot be a
// number.
std::optional<std::string> plain_digits(std::string_view text) {
  std::string plain;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t point = next_point(text, at);
    if (point < 0x80)
      plain.push_back(static_cast<char>(point));
    else if (is_space(point))
      plain.push_back(' ');
    else if (const int digit = u_charDigitValue(static_cast<UChar32>(point)); digit >= 0)
      plain.push_back(static_cast<char>('0' + digit));
    else
      return std::nullopt;
  }
  const auto is_blank = [](char c) { return is_space(static_cast<unsigned char>(c)); };
  while (!plain.empty() && is_blank(plain.back())) plain.pop_back();
  const auto first = std::find_if_not(plain.begin(), plain.end(), is_blank);
  plain.erase(plain.begin(), first);
  if (plain.empty()) return std::nullopt;
  return plain;
}

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'z') return c - 'a' + 10;
  if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
  return 99;
}

// Underscores may stand between digits only.
bool drop_underscores(std::string& text) {
  std::string kept;
  for (std::size_t k = 0; k < text.size(); ++k) {
    if (text[k] != '_') {
      kept.push_back(text[k]);
      continue;
    }
    if (k == 0 || k + 1 == text.size() || digit_value(text[k - 1]) == 99 ||
        digit_value(text[k + 1]) == 99)
      return false;
  }
  text = kept;
  return true;
}

// The base that a prefix 0x, 0o, 0b names, taken off; `base` 0 asks for it, else it must agree.
bool take_prefix(std::string_view& digits, int& base) {
  int named = 0;
  if (digits.size() > 1 && digits[0] == '0') {
    const char c = static_cast<char>(digits[1] | 0x20);
    named = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 0;
  }
  if (named != 0 && (base == 0 || base == named)) {
    base = named;
    digits.remove_prefix(2);
    if (!digits.empty() && digits[0] == '_') digits.remove_prefix(1);
  } else if (base == 0) {
    base = 10;
    return digits[0] != '0' || digits.find_first_not_of("0_") == std::string_view::npos;
  }
  return !digits.empty();
}

}  // namespace

int compare_numbers(const Value& a, const Value& b) {
  const auto sign = [](auto x, auto y) { return x < y ? -1 : x > y ? 1 : 0; };
  if (!a.is(Kind::kFloat) && !b.is(Kind::kFloat)) return sign(a.integer(), b.integer());
  if (a.is(Kind::kFloat) && b.is(Kind::kFloat)) {
    if (std::isnan(a.number()) || std::isnan(b.number())) return 2;
    return sign(a.number(), b.number());
  }
  if (a.is(Kind::kFloat)) {
    const int reversed = compare_numbers(b, a);
    return reversed == 2 ? 2 : -reversed;
  }
  const double other = b.number();
  if (std::isnan(other)) return 2;
  if (std::fabs(other) >= kIntEdge) return other > 0 ? -1 : 1;
  const double whole = std::trunc(other);
  const int order = sign(a.integer(), static_cast<Int>(whole));
  return order != 0 ? order : sign(whole, other);
}

std::optional<Int> parse_int(const Run& run, std::string_view text, int base) {
  auto plain = plain_digits(text);
  if (!plain) return std::nullopt;
  std::string_view digits = *plain;
  const bool negative = digits[0] == '-';
  if (negative || digits[0] == '+') digits.remove_prefix(1);
  if (digits.empty() || !take_prefix(digits, base)) return std::nullopt;
  std::string kept(digits);
  if (!drop_underscores(kept)) return std::nullopt;
  for (const char c : kept)
    if (digit_value(c) >= base) return std::nullopt;
  Int value = 0;
  for (const char c : kept) {
    if (__builtin_mul_overflow(value, Int{base}, &value) ||
        __builtin_add_overflow(value, Int{digit_value(c)}, &value))
      run.refuse("an integer of {} digits; expected at most 127 bits", kept.size());
  }
  return negative ? -value : value;
}

std::optional<double> parse_float(std::string_view text) {
  auto plain = plain_digits(text);
  if (!plain || !drop_underscores(*plain)) return std::nullopt;
  std::string_view rest = *plain;
  const bool negative = rest[0] == '-';
  if (negative || rest[0] == '+') rest.remove_prefix(1);
  std::string lower(rest);
  for (auto& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  double value = 0;
  if (lower == "inf" || lower == "infinity") {
    value = HUGE_VAL;
  } else if (lower == "nan") {
    value = std::nan("");
  } else {
    if (lower.empty() || lower.find_first_not_of("0123456789.e+-") != std::string::npos)
      return std::nullopt;
    const auto [end, error] = std::from_chars(lower.data(), lower.data() + lower.size(), value,
                                              std::chars_format::general);
    if (end != lower.data() + lower.size() || lower[0] == '-') return std::nullopt;
    if (error == std::errc::result_out_of_range)
      value = std::strtod(lower.c_str(), nullptr);
    else if (error != std::errc())
      return std::nullopt;
  }
  return negative ? -value : value;
}

Int truncate(const Run& run, double value) {
  if (std::isnan(value)) run.fail("cannot convert float NaN to integer");
  if (std::isinf(value)) run.fail("cannot convert float infinity to integer");
  if (std::fabs(value) >= kIntEdge)
    run.refuse("the integer of {}; expected at most 126 bits", float_repr(value));
  return static_cast<Int>(value);
}

std::string int_text(Int value, int base) {
  const bool negative = value < 0;
  auto rest = static_cast<unsigned __int128>(value);
  if (negative) rest = 0 - rest;
  std::string text;
  do {
    text.push_back("0123456789abcdef"[static_cast<int>(rest % static_cast<unsigned>(base))]);
    rest /= static_cast<unsigned>(base);
  } while (rest != 0);
  if (negative) text.push_back('-');
  std::reverse(text.begin(), text.end());
  return text;
}

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 64> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                 std::chars_format::scientific)
                       .ptr;
  std::string_view text(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
  std::string out;
  if (text[0] == '-') {
    out = "-";
    text.remove_prefix(1);
  }
  const auto e = text.find('e');
  const int exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  std::string digits(1, text[0]);
  if (e > 2) digits += text.substr(2, e - 2);
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (count > 1) out += "." + digits.substr(1);
    return out + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0)
    return out + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1)
    return out + digits + std::string(static_cast<std::size_t>(exponent + 1 - count), '0') + ".0";
  const auto point = static_cast<std::size_t>(exponent + 1);
  return out + digits.substr(0, point) + "." + digits.substr(point);
}

std::string format_float(double value, char style, int precision, bool alternate) {
  if (std::isnan(value)) return style < 'a' ? "NAN" : "nan";
  if (std::isinf(value)) return std::string(value < 0 ? "-" : "") + (style < 'a' ? "INF" : "inf");
  const std::string form = std::string("%") + (alternate ? "#" : "") + ".*" + style;
  const int size = std::snprintf(nullptr, 0, form.c_str(), precision, value);
  std::string text(static_cast<std::size_t>(size) + 1, '\0');
  std::snprintf(text.data(), text.size(), form.c_str(), precision, value);
  text.pop_back();
  return text;
}

Value negate(Run& run, const Value& value) {
  if (value.is(Kind::kFloat)) return Value(-value.number());
  Int result{};
  if (__builtin_sub_overflow(Int{0}, value.integer(), &result))
    run.refuse("an integer of more than 127 bits; expected a smaller one");
  return Value(result);
}

Value round_number(const Value& value, Int digits) {
  if (value.is_integral()) {
    if (digits >= 0) return Value(value.integer());
    if (digits < -38) return Value(0);
    Int unit = 1;
    for (Int k = digits; k < 0; ++k) unit *= 10;
    const Int whole = value.integer();
    Int rest = whole % unit;
    if (rest < 0) rest += unit;
    const Int floor = whole - rest;
    const bool up = rest > unit - rest || (rest == unit - rest && (floor / unit) % 2 != 0);
    return Value(up ? floor + unit : floor);
  }
  const double number = value.number();
  if (!std::isfinite(number) || digits > 330) return value;
  if (digits < -330) return Value(number * 0.0);
  if (digits >= 0)
    return Value(std::strtod(format_float(number, 'f', static_cast<int>(digits)).c_str(), nullptr));
  // Digits before the point: the decimal text in scientific form, cut where the unit lies.
  const std::string whole = format_float(number, 'e', 17);
  const int exponent = std::atoi(whole.c_str() + whole.find('e') + 1);
  const int places = exponent + static_cast<int>(digits);
  if (places >= 0) return Value(std::strtod(format_float(number, 'e', places).c_str(), nullptr));
  const double unit = std::pow(10.0, static_cast<double>(-digits));
  const bool is_up = places == -1 && std::fabs(number) > unit / 2;
  return Value(std::copysign(is_up ? unit : 0.0, number));
}

}  // namespace whit::jinja
