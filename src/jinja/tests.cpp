#include <algorithm>

#include "jinja/builtins.h"
#include "jinja/interpreter.h"
#include "jinja/number.h"
#include "jinja/operations.h"
#include "jinja/unicode.h"
#include "jinja/utf8.h"

namespace whit::jinja {

namespace {

template <Kind kKind>
Value is_kind(Interpreter&, Bound& bound) {
  return Value(bound[0].is(kKind));
}

template <bool kWanted>
Value is_constant(Interpreter&, Bound& bound) {
  return Value(bound[0].is(Kind::kBool) && bound[0].boolean() == kWanted);
}

Value is_defined(Interpreter&, Bound& bound) {
  return Value(!bound[0].is_undefined());
}

Value is_number(Interpreter&, Bound& bound) {
  return Value(bound[0].is_number());
}

Value is_sequence(Interpreter&, Bound& bound) {
  return Value(bound[0].is_undefined() || bound[0].is_text() || bound[0].is_sequence() ||
               bound[0].is(Kind::kDict) || bound[0].object_as<Range>() != nullptr);
}

Value is_iterable_test(Interpreter&, Bound& bound) {
  return Value(is_iterable(bound[0]));
}

Value is_callable(Interpreter&, Bound& bound) {
  return Value(bound[0].is_undefined() ||
               (bound[0].is(Kind::kObject) && bound[0].object()->is_callable()));
}

Value is_escaped(Interpreter&, Bound& bound) {
  return Value(bound[0].is_text() && bound[0].text().markup);
}

Value is_same(Interpreter&, Bound& bound) {
  return Value(bound[0].is_same(bound[1]));
}

Value is_in_test(Interpreter& interpreter, Bound& bound) {
  return Value(contains(interpreter, bound[1], bound[0]));
}

template <int kRest>
Value has_rest(Interpreter& interpreter, Bound& bound) {
  return Value(equal(interpreter, binary(interpreter, "%", bound[0], Value(2)), Value(kRest)));
}

Value is_divisible(Interpreter& interpreter, Bound& bound) {
  return Value(equal(interpreter, binary(interpreter, "%", bound[0], bound[1]), Value(0)));
}

template <CharClass kWanted>
Value is_case(Interpreter& interpreter, Bound& bound) {
  const std::string text = to_str(interpreter, bound[0]);
  bool has_cased = false;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t point = next_point(text, at);
    const bool is_upper = is_in(point, CharClass::kUpper),
               is_lower = is_in(point, CharClass::kLower);
    const bool is_title = is_in(point, CharClass::kTitle);
    if (is_title || (kWanted == CharClass::kLower ? is_upper : is_lower)) return Value(false);
    has_cased = has_cased || (kWanted == CharClass::kLower ? is_lower : is_upper);
  }
  return Value(has_cased);
}

template <bool kWanted>
Value is_equal(Interpreter& interpreter, Bound& bound) {
  return Value(equal(interpreter, bound[0], bound[1]) == kWanted);
}

Value is_less(Interpreter& interpreter, Bound& bound) {
  return Value(compare(interpreter, "<", bound[0], bound[1]));
}
Value is_less_or_equal(Interpreter& interpreter, Bound& bound) {
  return Value(compare(interpreter, "<=", bound[0], bound[1]));
}
Value is_greater(Interpreter& interpreter, Bound& bound) {
  return Value(compare(interpreter, ">", bound[0], bound[1]));
}
Value is_greater_or_equal(Interpreter& interpreter, Bound& bound) {
  return Value(compare(interpreter, ">=", bound[0], bound[1]));
}

Value is_filter(Interpreter& interpreter, Bound& bound) {
  expect_hashable(interpreter, bound[0]);
  return Value(bound[0].is_text() && find_filter(bound[0].bytes()) != nullptr);
}
Value is_test(Interpreter& interpreter, Bound& bound) {
  expect_hashable(interpreter, bound[0]);
  return Value(bound[0].is_text() && find_test(bound[0].bytes()) != nullptr);
}

constexpr Callable kTests[] = {
    {"odd", "value", has_rest<1>},
    {"even", "value", has_rest<0>},
    {"divisibleby", "value,num", is_divisible},
    {"defined", "value", is_defined},
    {"undefined", "value", is_kind<Kind::kUndefined>},
    {"filter", "value", is_filter},
    {"test", "value", is_test},
    {"none", "value", is_kind<Kind::kNone>},
    {"boolean", "value", is_kind<Kind::kBool>},
    {"false", "value", is_constant<false>},
    {"true", "value", is_constant<true>},
    {"integer", "value", is_kind<Kind::kInt>},
    {"float", "value", is_kind<Kind::kFloat>},
    {"lower", "value", is_case<CharClass::kLower>},
    {"upper", "value", is_case<CharClass::kUpper>},
    {"string", "value", is_kind<Kind::kText>},
    {"mapping", "value", is_kind<Kind::kDict>},
    {"number", "value", is_number},
    {"sequence", "value", is_sequence},
    {"iterable", "value", is_iterable_test},
    {"callable", "/obj", is_callable},
    {"sameas", "value,other", is_same},
    {"escaped", "value", is_escaped},
    {"in", "value,seq", is_in_test},
    {"==", "/a,b", is_equal<true>},
    {"eq", "/a,b", is_equal<true>},
    {"equalto", "/a,b", is_equal<true>},
    {"!=", "/a,b", is_equal<false>},
    {"ne", "/a,b", is_equal<false>},
    {">", "/a,b", is_greater},
    {"gt", "/a,b", is_greater},
    {"greaterthan", "/a,b", is_greater},
    {"ge", "/a,b", is_greater_or_equal},
    {">=", "/a,b", is_greater_or_equal},
    {"<", "/a,b", is_less},
    {"lt", "/a,b", is_less},
    {"lessthan", "/a,b", is_less},
    {"<=", "/a,b", is_less_or_equal},
    {"le", "/a,b", is_less_or_equal},
};

}  // namespace

const Callable* find_test(std::string_view name) {
  const auto found = std::find_if(std::begin(kTests), std::end(kTests),
                                  [&](const Callable& test) { return test.name == name; });
  return found == std::end(kTests) ? nullptr : found;
}

}  // namespace whit::jinja
