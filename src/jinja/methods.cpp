#include "jinja/methods.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "jinja/interpreter.h"
#include "jinja/operations.h"
#include "jinja/text_ops.h"
#include "jinja/unicode.h"
#include "jinja/utf8.h"

namespace whit::jinja {

namespace {

using Text = std::u32string;

bool all_of(const Text& text, CharClass char_class) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [&](char32_t point) { return is_in(point, char_class); });
}

bool is_alphanumeric(const Text& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char32_t point) {
    return point != '_' && is_in(point, CharClass::kWord);
  });
}
bool is_ascii(const Text& text) {
  return std::all_of(text.begin(), text.end(), [](char32_t point) { return point < 0x80; });
}
bool is_printable(const Text& text) {
  return text.empty() || all_of(text, CharClass::kPrintable);
}
bool is_all_space(const Text& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_space);
}
bool is_identifier(const Text& text) {
  return !text.empty() && is_in(text[0], CharClass::kIdentifierStart) &&
         std::all_of(text.begin() + 1, text.end(),
                     [](char32_t point) { return is_in(point, CharClass::kIdentifierPart); });
}
bool is_title(const Text& text) {
  bool has_cased = false, after_cased = false;
  for (const char32_t point : text) {
    const bool starts = is_in(point, CharClass::kUpper) || is_in(point, CharClass::kTitle);
    const bool goes_on = is_in(point, CharClass::kLower);
    if ((starts && after_cased) || (goes_on && !after_cased)) return false;
    after_cased = starts || goes_on;
    has_cased = has_cased || after_cased;
  }
  return has_cased;
}

template <bool (*kTest)(const Text&)>
Value tested(Interpreter& interpreter, Bound& bound) {
  interpreter.work(bound[0].bytes().size() * 8);
  return Value(kTest(decode(bound[0].bytes())));
}
template <CharClass kClass>
Value all_in(Interpreter& interpreter, Bound& bound) {
  interpreter.work(bound[0].bytes().size() * 8);
  return Value(all_of(decode(bound[0].bytes()), kClass));
}
Value is_lower(Interpreter& interpreter, Bound& bound) {
  return find_test("lower")->function(interpreter, bound);
}
Value is_upper(Interpreter& interpreter, Bound& bound) {
  return find_test("upper")->function(interpreter, bound);
}

constexpr Callable kPredicates[] = {
    {"isalnum", "/self", tested<is_alphanumeric>},
    {"isalpha", "/self", all_in<CharClass::kAlpha>},
    {"isascii", "/self", tested<is_ascii>},
    {"isdecimal", "/self", all_in<CharClass::kDecimal>},
    {"isdigit", "/self", all_in<CharClass::kDigit>},
    {"isidentifier", "/self", tested<is_identifier>},
    {"islower", "/self", is_lower},
    {"isnumeric", "/self", all_in<CharClass::kNumeric>},
    {"isprintable", "/self", tested<is_printable>},
    {"isspace", "/self", tested<is_all_space>},
    {"istitle", "/self", tested<is_title>},
    {"isupper", "/self", is_upper},
};

Value list_count(Interpreter& interpreter, Bound& bound) {
  std::int64_t found = 0;
  for (const Value& item : bound[0].items())
    found +=
        static_cast<std::int64_t>(item.is_same(bound[1]) || equal(interpreter, item, bound[1]));
  return Value(found);
}

Value list_index(Interpreter& interpreter, Bound& bound) {
  const auto& items = bound[0].items();
  const Int size = static_cast<Int>(items.size());
  const auto place = [&](std::size_t k, Int otherwise) {
    if (!bound.has(k)) return otherwise;
    const Int index = expect_integer(interpreter, bound[k], "a place in a list");
    return std::clamp<Int>(index < 0 ? index + size : index, 0, size);
  };
  const Int stop = place(3, size);
  for (Int k = place(2, 0); k < stop; ++k)
    if (const Value& item = items[static_cast<std::size_t>(k)];
        item.is_same(bound[1]) || equal(interpreter, item, bound[1]))
      return Value(k);
  interpreter.fail("{} is not in list", to_repr(interpreter, bound[1]));
}

Value itself(Interpreter&, Bound& bound) {
  return bound[0].is(Kind::kBool) ? Value(bound[0].integer()) : bound[0];
}

constexpr Callable kListMethods[] = {
    {"count", "/self,value", list_count},
    {"index", "/self,value,start=,stop=", list_index},
    {"copy", "/self", itself},
};

Value get(Interpreter& interpreter, Bound& bound) {
  expect_hashable(interpreter, bound[1]);
  if (const Value* value = bound[0].dict().find(bound[1])) return *value;
  return bound.has(2) ? bound[2] : Value(None{});
}

template <DictView::Part kPart>
Value view(Interpreter& interpreter, Bound& bound) {
  return interpreter.object(std::make_shared<DictView>(bound[0].shared_dict(), kPart));
}

constexpr Callable kDictMethods[] = {
    {"get", "/self,key,default=", get},
    {"items", "/self", view<DictView::Part::kItems>},
    {"keys", "/self", view<DictView::Part::kKeys>},
    {"values", "/self", view<DictView::Part::kValues>},
    {"copy", "/self", itself},
};

Value is_whole(Interpreter&, Bound& bound) {
  const double number = bound[0].number();
  return Value(std::isfinite(number) && number == std::floor(number));
}

Value bit_length(Interpreter&, Bound& bound) {
  Int rest = bound[0].integer() < 0 ? -bound[0].integer() : bound[0].integer();
  int bits = 0;
  for (; rest != 0; rest /= 2) ++bits;
  return Value(bits);
}

constexpr Callable kNumberMethods[] = {
    {"is_integer", "/self", is_whole},
    {"bit_length", "/self", bit_length},
    {"conjugate", "/self", itself},
};

const Callable* find_in(std::span<const Callable> methods, std::string_view name) {
  const auto found = std::find_if(methods.begin(), methods.end(),
                                  [&](const Callable& method) { return method.name == name; });
  return found == methods.end() ? nullptr : &*found;
}

}  // namespace

std::span<const Callable> text_predicates() {
  return kPredicates;
}
std::span<const Callable> list_methods() {
  return kListMethods;
}
std::span<const Callable> dict_methods() {
  return kDictMethods;
}
std::span<const Callable> number_methods() {
  return kNumberMethods;
}

const Callable* find_method(const Value& value, std::string_view name) {
  switch (value.kind()) {
    case Kind::kText: {
      const Callable* method = find_in(text_methods(), name);
      return method != nullptr ? method : find_in(text_predicates(), name);
    }
    case Kind::kList:
      return find_in(list_methods(), name);
    case Kind::kTuple:
      return name == "copy" ? nullptr : find_in(list_methods(), name);
    case Kind::kDict:
      return find_in(dict_methods(), name);
    case Kind::kFloat:
      return name == "bit_length" ? nullptr : find_in(number_methods(), name);
    case Kind::kInt:
    case Kind::kBool:
      return name == "is_integer" ? nullptr : find_in(number_methods(), name);
    default:
      return nullptr;
  }
}

bool is_mutating_method(const Value& value, std::string_view name) {
  static constexpr std::array<std::string_view, 8> kOfList{"append", "clear", "pop",    "reverse",
                                                           "insert", "sort",  "extend", "remove"};
  static constexpr std::array<std::string_view, 5> kOfDict{"clear", "pop", "popitem", "setdefault",
                                                           "update"};
  if (value.is(Kind::kList))
    return std::find(kOfList.begin(), kOfList.end(), name) != kOfList.end();
  return value.is(Kind::kDict) && std::find(kOfDict.begin(), kOfDict.end(), name) != kOfDict.end();
}

}  // namespace whit::jinja
