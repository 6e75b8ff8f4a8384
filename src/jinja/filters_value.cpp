#include <algorithm>
#include <array>
#include <cmath>

#include "jinja/filters.h"
#include "jinja/format.h"
#include "jinja/interpreter.h"
#include "jinja/number.h"
#include "jinja/operations.h"
#include "jinja/text_ops.h"

namespace whit::jinja {

bool flag(Interpreter& interpreter, const Bound& bound, std::size_t k, bool otherwise) {
  return bound.has(k) ? is_truthy(interpreter, bound[k]) : otherwise;
}

namespace {

Value absolute(Interpreter& interpreter, Bound& bound) {
  const Value& value = bound[0];
  if (!value.is_number()) interpreter.fail("bad operand type for abs(): '{}'", type_name(value));
  if (value.is(Kind::kFloat)) return Value(std::fabs(value.number()));
  return value.integer() < 0 ? negate(interpreter, value) : Value(value.integer());
}

Value attr(Interpreter& interpreter, Bound& bound) {
  const std::string& name = expect_text(interpreter, bound[1], "name");
  if (bound[0].is(Kind::kDict) && find_method(bound[0], name) == nullptr &&
      !is_mutating_method(bound[0], name))
    return Value::undefined(fmt::format("{} has no attribute {}",
                                        in_quotes(type_description(bound[0])), in_quotes(name)));
  return get_attribute(interpreter, bound[0], name);
}

Value default_filter(Interpreter& interpreter, Bound& bound) {
  const bool is_used = bound[0].is_undefined() ||
                       (flag(interpreter, bound, 2, false) && !is_truthy(interpreter, bound[0]));
  if (!is_used) return bound[0];
  return bound.has(1) ? bound[1] : interpreter.text("");
}

Value escape_filter(Interpreter& interpreter, Bound& bound) {
  return interpreter.text(escape(interpreter, bound[0]), true);
}

Value safe(Interpreter& interpreter, Bound& bound) {
  return interpreter.text(to_str(interpreter, bound[0]), true);
}

Value string_filter(Interpreter& interpreter, Bound& bound) {
  return soft_str(interpreter, bound[0]);
}

Value file_size(Interpreter& interpreter, Bound& bound) {
  const Value& value = bound[0];
  const auto parsed = value.is_text()     ? parse_float(value.bytes())
                      : value.is_number() ? std::optional(value.number())
                                          : std::nullopt;
  if (!parsed) interpreter.fail("filesizeformat of {}; expected a number", type_name(value));
  const bool binary = flag(interpreter, bound, 1, false);
  const double base = binary ? 1024 : 1000, bytes = *parsed;
  if (bytes == 1) return interpreter.text("1 Byte");
  if (bytes < base)
    return interpreter.text(fmt::format("{} Bytes", int_text(truncate(interpreter, bytes))));
  constexpr std::string_view kLetters = "kMGTPEZY";
  double unit = base;
  std::size_t k = 0;
  for (; k < kLetters.size(); ++k) {
    unit *= base;
    if (bytes < unit) break;
  }
  k = std::min(k, kLetters.size() - 1);
  return interpreter.text(fmt::format("{} {}{}", format_float(base * bytes / unit, 'f', 1),
                                      binary && k == 0 ? 'K' : kLetters[k], binary ? "iB" : "B"));
}

Value float_filter(Interpreter& interpreter, Bound& bound) {
  const Value& value = bound[0];
  if (value.is_undefined()) interpreter.fail("{}", value.undefined_message());
  const Value otherwise = bound.has(1) ? bound[1] : Value(0.0);
  if (value.is_number()) return Value(value.number());
  if (!value.is_text()) return otherwise;
  const auto parsed = parse_float(value.bytes());
  return parsed ? Value(*parsed) : otherwise;
}

Value int_filter(Interpreter& interpreter, Bound& bound) {
  const Value& value = bound[0];
  if (value.is_undefined()) interpreter.fail("{}", value.undefined_message());
  const Value otherwise = bound.has(1) ? bound[1] : Value(0);
  if (value.is_integral()) return Value(value.integer());
  if (value.is(Kind::kFloat)) {
    if (std::isnan(value.number())) return otherwise;
    return Value(truncate(interpreter, value.number()));
  }
  if (!value.is_text()) return otherwise;
  const Value base = bound.has(2) ? bound[2] : Value(10);
  const bool is_base =
      base.is_integral() && (base.integer() == 0 || (base.integer() >= 2 && base.integer() <= 36));
  if (is_base)
    if (const auto parsed = parse_int(interpreter, value.bytes(), static_cast<int>(base.integer())))
      return Value(*parsed);
  const auto parsed = parse_float(value.bytes());
  if (!parsed || !std::isfinite(*parsed)) return otherwise;
  return Value(truncate(interpreter, *parsed));
}

Value round_filter(Interpreter& interpreter, Bound& bound) {
  const Value& value = bound[0];
  if (!value.is_number())
    interpreter.fail("type {} doesn't define __round__ method", type_name(value));
  const std::string_view method =
      bound.has(2) ? std::string_view(expect_text(interpreter, bound[2], "method")) : "common";
  if (bound.has(1) && bound[1].is_none() && method == "common") {
    const Value whole = round_number(value, 0);
    return whole.is(Kind::kFloat) ? Value(truncate(interpreter, whole.number())) : whole;
  }
  const Value digits = bound.has(1) ? bound[1] : Value(0);
  const Int precision = expect_integer(interpreter, digits, "precision");
  if (method == "common") return round_number(value, precision);
  if (method != "ceil" && method != "floor")
    interpreter.fail("method must be common, ceil or floor");
  const Value scale = number_arithmetic(interpreter, "**", Value(10), Value(precision));
  const Value scaled = number_arithmetic(interpreter, "*", value, scale);
  const Value whole =
      scaled.is(Kind::kFloat)
          ? Value(truncate(interpreter, method == "ceil" ? std::ceil(scaled.number())
                                                         : std::floor(scaled.number())))
          : scaled;
  return number_arithmetic(interpreter, "/", whole, scale);
}

Value to_json(Interpreter& interpreter, Bound& bound) {
  JsonStyle style;
  style.ascii = flag(interpreter, bound, 1, false);
  if (bound.has(2) && !bound[2].is_none()) {
    style.has_indent = true;
    style.item_separator = ",";
    style.indent = bound[2].is_text()
                       ? bound[2].bytes()
                       : repeat(interpreter, " ", expect_integer(interpreter, bound[2], "indent"));
  }
  if (bound.has(3) && !bound[3].is_none()) {
    const auto separators = to_items(interpreter, bound[3]);
    if (separators.size() != 2)
      interpreter.fail("{} separators; expected two, of items and of keys", separators.size());
    style.item_separator = expect_text(interpreter, separators[0], "a separator");
    style.key_separator = expect_text(interpreter, separators[1], "a separator");
  }
  style.sort_keys = flag(interpreter, bound, 4, false);
  return interpreter.text(dump_json(interpreter, bound[0], style));
}

Value format_filter(Interpreter& interpreter, Bound& bound) {
  const Value text = soft_str(interpreter, bound[0]);
  if (bound.rest.named.empty())
    return percent_format(interpreter, text, interpreter.tuple(std::move(bound.rest.positional)));
  if (!bound.rest.positional.empty())
    interpreter.fail("can't handle positional and keyword arguments at the same time");
  Dict named;
  for (auto& [name, value] : bound.rest.named) named.set(interpreter.text(name), value);
  return percent_format(interpreter, text, interpreter.dict(std::move(named)));
}

constexpr Callable kValueFilters[] = {
    {"abs", "/x", absolute},
    {"attr", "obj,name", attr},
    {"d", "value,default_value=,boolean=", default_filter},
    {"default", "value,default_value=,boolean=", default_filter},
    {"e", "/s", escape_filter},
    {"escape", "/s", escape_filter},
    {"filesizeformat", "value,binary=", file_size},
    {"float", "value,default=", float_filter},
    {"format", "value,*,**", format_filter},
    {"int", "value,default=,base=", int_filter},
    {"round", "value,precision=,method=", round_filter},
    {"safe", "value", safe},
    {"string", "s", string_filter},
    {"tojson", "x,ensure_ascii=,indent=,separators=,sort_keys=", to_json},
};

}  // namespace

std::span<const Callable> value_filters() {
  return kValueFilters;
}

}  // namespace whit::jinja
