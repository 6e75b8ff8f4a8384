#include <algorithm>
#include <cmath>

#include "jinja/format.h"
#include "jinja/interpreter.h"
#include "jinja/number.h"
#include "jinja/operations.h"
#include "jinja/text_ops.h"
#include "jinja/utf8.h"

namespace whit::jinja {

namespace {

struct Conversion {
  bool left = false, plus = false, space = false, zero = false, alternate = false;
  Int width = 0;
  std::optional<int> precision;
  char type = '\0';
};

class PercentFormatter {
 public:
  PercentFormatter(Interpreter& interpreter, const Value& format, const Value& values)
      : interpreter_(interpreter),
        format_(format.bytes()),
        values_(values),
        markup_(format.text().markup) {}

  std::string run() {
    std::string out;
    while (at_ < format_.size()) {
      const std::size_t percent = std::min(format_.find('%', at_), format_.size());
      out.append(format_, at_, percent - at_);
      at_ = percent;
      if (at_ < format_.size()) out += convert();
      interpreter_.expect_room(out.size());
    }
    const bool has_rest =
        values_.is(Kind::kTuple) ? next_ < values_.items().size() : next_ == 0 && !is_mapping();
    if (has_rest) interpreter_.fail("not all arguments converted during string formatting");
    return out;
  }

 private:
  // What Python lets pass though nothing of it was used.
  bool is_mapping() const {
    return values_.is(Kind::kDict) || values_.is(Kind::kList) || values_.is_undefined() ||
           values_.object_as<Range>() != nullptr;
  }
  char peek() const { return at_ < format_.size() ? format_[at_] : '\0'; }

  Value take() {
    if (values_.is(Kind::kTuple)) {
      if (next_ >= values_.items().size())
        interpreter_.fail("not enough arguments for format string");
      return values_.items()[next_++];
    }
    if (next_++ > 0) interpreter_.fail("not enough arguments for format string");
    return values_;
  }

  Int read_number() {
    if (peek() == '*') {
      ++at_;
      return expect_integer(interpreter_, take(), "* wants");
    }
    Int number = 0;
    while (peek() >= '0' && peek() <= '9') {
      number = number * 10 + (format_[at_++] - '0');
      if (number > 1'000'000'000) interpreter_.fail("width too big");
    }
    return number;
  }

  std::optional<Value> read_key() {
    if (peek() != '(') return std::nullopt;
    if (!values_.is(Kind::kDict)) interpreter_.fail("format requires a mapping");
    const std::size_t begin = ++at_;
    for (int open = 1; open > 0; ++at_) {
      if (at_ >= format_.size()) interpreter_.fail("incomplete format key");
      open += format_[at_] == '(' ? 1 : format_[at_] == ')' ? -1 : 0;
    }
    const std::string key = format_.substr(begin, at_ - 1 - begin);
    const Value* value = values_.dict().find(std::string_view(key));
    if (value == nullptr) interpreter_.fail("{}", in_quotes(key));
    return *value;
  }

  std::string convert() {
    ++at_;
    const auto keyed = read_key();
    Conversion conversion;
    for (bool is_flag = true; is_flag;) {
      switch (peek()) {
        case '-':
          conversion.left = true;
          break;
        case '+':
          conversion.plus = true;
          break;
        case ' ':
          conversion.space = true;
          break;
        case '0':
          conversion.zero = true;
          break;
        case '#':
          conversion.alternate = true;
          break;
        default:
          is_flag = false;
      }
      if (is_flag) ++at_;
    }
    conversion.width = read_number();
    if (conversion.width < 0) {
      conversion.left = true;
      conversion.width = -conversion.width;
    }
    if (peek() == '.') {
      ++at_;
      conversion.precision = static_cast<int>(std::clamp<Int>(read_number(), 0, 100'000));
    }
    while (peek() == 'h' || peek() == 'l' || peek() == 'L') ++at_;
    if (at_ >= format_.size()) interpreter_.fail("incomplete format");
    conversion.type = format_[at_++];
    if (conversion.type == '%') return "%";
    return converted(keyed ? *keyed : take(), conversion);
  }

  std::string converted(const Value& value, const Conversion& conversion) {
    switch (conversion.type) {
      case 's':
        return text(markup_ ? escape(interpreter_, value) : to_str(interpreter_, value),
                    conversion);
      case 'r':
        return text(to_repr(interpreter_, value), conversion);
      case 'a':
        return text(to_ascii(interpreter_, value), conversion);
      case 'c':
        return text(character(value), conversion);
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        return integer(value, conversion);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        return floating(value, conversion);
      default:
        interpreter_.fail("unsupported format character '{}'", conversion.type);
    }
  }

  std::string text(const std::string& whole, const Conversion& conversion) {
    return pad(
        interpreter_,
        conversion.precision ? whole.substr(0, byte_of_point(whole, *conversion.precision)) : whole,
        conversion.width, ' ', conversion.left ? Align::kLeft : Align::kRight);
  }

  std::string character(const Value& value) {
    if (value.is_text() && value.text().points == 1) return value.bytes();
    if (!value.is_integral()) interpreter_.fail("%c requires int or char");
    const Int code = value.integer();
    if (code < 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
      interpreter_.fail("%c arg not in range(0x110000)");
    std::string out;
    append_point(out, static_cast<char32_t>(code));
    return out;
  }

  std::string numeric(bool is_negative, std::string prefix, const std::string& digits,
                      const Conversion& conversion) {
    if (is_negative)
      prefix.insert(0, "-");
    else if (conversion.plus)
      prefix.insert(0, "+");
    else if (conversion.space)
      prefix.insert(0, " ");
    const Int missing = conversion.width - static_cast<Int>(prefix.size() + digits.size());
    if (conversion.zero && !conversion.left)
      return prefix + repeat(interpreter_, "0", missing) + digits;
    return pad(interpreter_, prefix + digits, conversion.width, ' ',
               conversion.left ? Align::kLeft : Align::kRight);
  }

  std::string integer(const Value& value, const Conversion& conversion) {
    const bool is_decimal = std::string_view("diu").find(conversion.type) != std::string_view::npos;
    if (value.is_undefined()) interpreter_.fail("{}", value.undefined_message());
    if (!value.is_integral() && !(is_decimal && value.is(Kind::kFloat)))
      interpreter_.fail("%{} format: {} is required, not {}", conversion.type,
                        is_decimal ? "a real number" : "an integer", type_name(value));
    const Int number =
        value.is(Kind::kFloat) ? truncate(interpreter_, value.number()) : value.integer();
    const int base = is_decimal ? 10 : conversion.type == 'o' ? 8 : 16;
    std::string digits = int_text(number, base);
    if (number < 0) digits.erase(0, 1);
    const Int zeros = conversion.precision.value_or(0) - static_cast<Int>(digits.size());
    digits = repeat(interpreter_, "0", zeros) + digits;
    if (conversion.type == 'X')
      for (auto& c : digits)
        if (c >= 'a') c = static_cast<char>(c & 0x5F);
    std::string prefix;
    if (conversion.alternate && !is_decimal) prefix = std::string("0") + conversion.type;
    return numeric(number < 0, prefix, digits, conversion);
  }

  std::string floating(const Value& value, const Conversion& conversion) {
    if (value.is_undefined()) interpreter_.fail("{}", value.undefined_message());
    if (!value.is_number()) interpreter_.fail("must be real number, not {}", type_name(value));
    const double number = value.number();
    return numeric(std::signbit(number) && !std::isnan(number), "",
                   format_float(std::fabs(number), conversion.type,
                                conversion.precision.value_or(6), conversion.alternate),
                   conversion);
  }

  Interpreter& interpreter_;
  const std::string& format_;
  const Value& values_;
  const bool markup_;
  std::size_t at_ = 0;
  std::size_t next_ = 0;
};

}  // namespace

Value percent_format(Interpreter& interpreter, const Value& format, const Value& values) {
  return interpreter.text_like(format, PercentFormatter(interpreter, format, values).run());
}

}  // namespace whit::jinja
