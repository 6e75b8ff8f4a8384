#include <algorithm>
#include <cmath>

#include "jinja/format.h"
#include "jinja/interpreter.h"
#include "jinja/number.h"
#include "jinja/operations.h"
#include "jinja/utf8.h"

namespace whit::jinja {

namespace {

// [[fill]align][sign][z][#][0][width][grouping][.precision][type]
struct Spec {
  char32_t fill = ' ';
  char align = '\0', sign = '\0', grouping = '\0', type = '\0';
  bool alternate = false, zero = false;
  bool no_negative_zero = false;
  Int width = 0;
  std::optional<int> precision;
};

bool is_align(char32_t c) {
  return c == '<' || c == '>' || c == '=' || c == '^';
}

class SpecReader {
 public:
  SpecReader(Interpreter& interpreter, std::string_view spec)
      : interpreter_(interpreter), points_(decode(spec)) {}

  Spec read() {
    Spec spec;
    const bool has_fill = points_.size() > 1 && is_align(points_[1]);
    if (has_fill) {
      spec.fill = points_[0];
      spec.align = static_cast<char>(points_[1]);
      at_ = 2;
    } else if (!points_.empty() && is_align(points_[0])) {
      spec.align = static_cast<char>(points_[at_++]);
    }
    if (peek() == '+' || peek() == '-' || peek() == ' ')
      spec.sign = static_cast<char>(points_[at_++]);
    if (peek() == 'z') spec.no_negative_zero = ++at_ > 0;
    if (peek() == '#') spec.alternate = ++at_ > 0;
    if (!has_fill && peek() == '0') {
      spec.zero = ++at_ > 0 && spec.align == '\0';
      spec.fill = '0';
      if (spec.zero) spec.align = '=';
    }
    spec.width = read_number(0);
    if (peek() == ',' || peek() == '_') spec.grouping = static_cast<char>(points_[at_++]);
    if (peek() == '.') {
      ++at_;
      if (peek() < '0' || peek() > '9') interpreter_.fail("Format specifier missing precision");
      spec.precision = static_cast<int>(std::min<Int>(read_number(0), 100'000));
    }
    if (at_ < points_.size() && points_[at_] < 0x80) spec.type = static_cast<char>(points_[at_++]);
    if (at_ != points_.size()) interpreter_.fail("Invalid format specifier '{}'", encode(points_));
    if (spec.grouping != '\0' && !may_group(spec))
      interpreter_.fail("Cannot specify '{}' with '{}'.", spec.grouping, spec.type);
    return spec;
  }

 private:
  static bool may_group(const Spec& spec) {
    const std::string_view types = spec.grouping == ',' ? "deEfFgG%" : "deEfFgG%boxX";
    return spec.type == '\0' || types.find(spec.type) != std::string_view::npos;
  }
  char32_t peek() const { return at_ < points_.size() ? points_[at_] : U'\0'; }
  Int read_number(Int value) {
    while (peek() >= '0' && peek() <= '9') {
      value = value * 10 + static_cast<Int>(points_[at_++] - '0');
      if (value > 1'000'000'000) interpreter_.fail("Too many decimal digits in format string");
    }
    return value;
  }

  Interpreter& interpreter_;
  const std::u32string points_;
  std::size_t at_ = 0;
};

// A separator between every `size` digits, counted from the right, before any point.
std::string grouped(const std::string& digits, char separator, std::size_t size) {
  const std::size_t whole = std::min(digits.find_first_of(".e%"), digits.size());
  std::string out;
  for (std::size_t k = 0; k < whole; ++k) {
    if (k > 0 && (whole - k) % size == 0) out.push_back(separator);
    out.push_back(digits[k]);
  }
  return out + digits.substr(whole);
}

std::string finish_number(Interpreter& interpreter, const Spec& spec, bool is_negative,
                          std::string prefix, std::string digits) {
  if (is_negative)
    prefix.insert(0, "-");
  else if (spec.sign == '+' || spec.sign == ' ')
    prefix.insert(0, 1, spec.sign);
  if (spec.grouping != '\0') {
    const std::size_t size =
        spec.type == 'x' || spec.type == 'X' || spec.type == 'o' || spec.type == 'b' ? 4 : 3;
    if (spec.align == '=' && spec.fill == '0') {
      // The zeros are grouped too.
      const Int room = spec.width - static_cast<Int>(prefix.size());
      interpreter.expect_room(static_cast<std::size_t>(std::max<Int>(room, 0)));
      const auto group = static_cast<Int>(size);
      const auto whole = static_cast<Int>(std::min(digits.find_first_of(".e%"), digits.size()));
      const Int rest = static_cast<Int>(digits.size()) - whole;
      Int wanted = std::max(whole, (room - rest) * group / (group + 1));
      while (wanted + (wanted - 1) / group + rest < room) ++wanted;
      digits.insert(0, repeat(interpreter, "0", wanted - whole));
    }
    digits = grouped(digits, spec.grouping, size);
  }
  const std::string text = prefix + digits;
  if (spec.align == '=') {
    const Int missing = spec.width - static_cast<Int>(text.size());
    std::string fill;
    append_point(fill, spec.fill);
    return prefix + repeat(interpreter, fill, missing) + digits;
  }
  const Align align = spec.align == '<'   ? Align::kLeft
                      : spec.align == '^' ? Align::kCenter
                                          : Align::kRight;
  return pad(interpreter, text, spec.width, spec.fill, align);
}

std::string format_double(Interpreter& interpreter, double value, Spec spec) {
  const double magnitude = std::fabs(value);
  std::string digits;
  const char type = spec.type == 'n' ? 'g' : spec.type;
  if (type == '%') {
    digits = format_float(magnitude * 100, 'f', spec.precision.value_or(6)) + "%";
  } else if (type == '\0' && !spec.precision) {
    digits = float_repr(magnitude);
  } else if (type == '\0') {
    // As 'g', but with a digit after the point.
    digits = format_float(magnitude, 'g', std::max(*spec.precision, 1));
    if (digits.find_first_of(".ein") == std::string::npos) digits += ".0";
  } else if (std::string_view("eEfFgG").find(type) != std::string_view::npos) {
    const int precision = spec.precision.value_or(6);
    digits = format_float(
        magnitude, type, (type | 0x20) == 'g' ? std::max(precision, 1) : precision, spec.alternate);
  } else {
    interpreter.fail("Unknown format code '{}' for object of type 'float'", type);
  }
  bool is_negative = std::signbit(value) && !std::isnan(value);
  if (spec.no_negative_zero && digits.find_first_of("123456789n") == std::string::npos)
    is_negative = false;
  return finish_number(interpreter, spec, is_negative, "", std::move(digits));
}

std::string format_integer(Interpreter& interpreter, Int value, const Spec& spec) {
  if (std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos && spec.type != '\0')
    return format_double(interpreter, static_cast<double>(value), spec);
  if (spec.precision) interpreter.fail("Precision not allowed in integer format specifier");
  if (spec.no_negative_zero)
    interpreter.fail("Negative zero coercion (z) not allowed in integer format specifier");
  std::string prefix;
  int base = 10;
  switch (spec.type) {
    case '\0':
    case 'd':
    case 'n':
      break;
    case 'b':
      base = 2;
      prefix = "0b";
      break;
    case 'o':
      base = 8;
      prefix = "0o";
      break;
    case 'x':
      base = 16;
      prefix = "0x";
      break;
    case 'X':
      base = 16;
      prefix = "0X";
      break;
    case 'c': {
      if (value < 0 || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
        interpreter.fail("%c arg not in range(0x110000)");
      std::string text;
      append_point(text, static_cast<char32_t>(value));
      return pad(interpreter, text, spec.width, spec.fill,
                 spec.align == '<' ? Align::kLeft : Align::kRight);
    }
    default:
      interpreter.fail("Unknown format code '{}' for object of type 'int'", spec.type);
  }
  if (!spec.alternate) prefix.clear();
  std::string digits = int_text(value, base);
  if (value < 0) digits.erase(0, 1);
  if (spec.type == 'X')
    for (auto& c : digits)
      if (c >= 'a') c = static_cast<char>(c & 0x5F);
  return finish_number(interpreter, spec, value < 0, prefix, std::move(digits));
}

std::string format_text(Interpreter& interpreter, const std::string& text, const Spec& spec) {
  if (spec.type != '\0' && spec.type != 's')
    interpreter.fail("Unknown format code '{}' for object of type 'str'", spec.type);
  if (spec.sign != '\0') interpreter.fail("Sign not allowed in string format specifier");
  if (spec.no_negative_zero || spec.alternate)
    interpreter.fail("{} not allowed in string format specifier",
                     spec.alternate ? "Alternate form (#)" : "Negative zero coercion (z)");
  if (spec.grouping != '\0') interpreter.fail("Cannot specify '{}' with 's'.", spec.grouping);
  if (spec.align == '=' && !spec.zero)
    interpreter.fail("'=' alignment not allowed in string format specifier");
  std::string kept = spec.precision ? text.substr(0, byte_of_point(text, *spec.precision)) : text;
  const Align align = spec.align == '>'   ? Align::kRight
                      : spec.align == '^' ? Align::kCenter
                                          : Align::kLeft;
  return pad(interpreter, std::move(kept), spec.width, spec.fill, align);
}

}  // namespace

std::string format_value(Interpreter& interpreter, const Value& value, std::string_view spec) {
  if (spec.empty()) return to_str(interpreter, value);
  if (value.is_text())
    return format_text(interpreter, value.bytes(), SpecReader(interpreter, spec).read());
  if (value.is(Kind::kFloat))
    return format_double(interpreter, value.number(), SpecReader(interpreter, spec).read());
  if (value.is_integral())
    return format_integer(interpreter, value.integer(), SpecReader(interpreter, spec).read());
  interpreter.fail("unsupported format string passed to {}.__format__", type_name(value));
}

}  // namespace whit::jinja
