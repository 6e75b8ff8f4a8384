#include "jinja/operations.h"

#include <algorithm>
#include <cstring>

#include "jinja/format.h"
#include "jinja/interpreter.h"
#include "jinja/number.h"

namespace whit::jinja {

bool is_truthy(Interpreter& interpreter, const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.integer() != 0;
    case Kind::kFloat:
      return value.number() != 0;
    case Kind::kText:
      return !value.bytes().empty();
    case Kind::kList:
    case Kind::kTuple:
      return !value.items().empty();
    case Kind::kDict:
      return !value.dict().entries().empty();
    case Kind::kObject:
      return value.object()->length(interpreter).value_or(1) != 0;
  }
  return false;
}

void expect_hashable(Interpreter& interpreter, const Value& key) {
  interpreter.step();
  if (key.is(Kind::kList) || key.is(Kind::kDict))
    interpreter.fail("unhashable type: '{}'", type_name(key));
  if (key.is(Kind::kTuple))
    for (const auto& item : key.items()) expect_hashable(interpreter, item);
}

namespace {

bool equal_items(Interpreter& interpreter, const std::vector<Value>& a,
                 const std::vector<Value>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t k = 0; k < a.size(); ++k)
    if (!a[k].is_same(b[k]) && !equal(interpreter, a[k], b[k])) return false;
  return true;
}

bool equal_dicts(Interpreter& interpreter, const Dict& a, const Dict& b) {
  if (a.entries().size() != b.entries().size()) return false;
  for (const auto& [key, value] : a.entries()) {
    const Value* other = b.find(key);
    if (other == nullptr || !equal(interpreter, value, *other)) return false;
  }
  return true;
}

}  // namespace

bool equal(Interpreter& interpreter, const Value& a, const Value& b) {
  interpreter.step();
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kText:
      if (a.bytes().size() == b.bytes().size()) interpreter.work(a.bytes().size());
      return a.bytes() == b.bytes();
    case Kind::kList:
    case Kind::kTuple:
      return equal_items(interpreter, a.items(), b.items());
    case Kind::kDict:
      return equal_dicts(interpreter, a.dict(), b.dict());
    case Kind::kObject: {
      const auto *left = a.object_as<Range>(), *right = b.object_as<Range>();
      if (left == nullptr || right == nullptr) return a.object() == b.object();
      const Int size = left->size();
      return size == right->size() && (size == 0 || left->start == right->start) &&
             (size < 2 || left->step == right->step);
    }
    default:
      return true;  // undefined, None
  }
}

namespace {

// The sign of a - b; 2 where neither order holds (NaN).
int order(Interpreter& interpreter, std::string_view op, const Value& a, const Value& b) {
  interpreter.step();
  if (a.is_number() && b.is_number()) return compare_numbers(a, b);
  if (a.is_text() && b.is_text()) {
    interpreter.work(std::min(a.bytes().size(), b.bytes().size()));
    const int sign = a.bytes().compare(b.bytes());
    return sign < 0 ? -1 : sign > 0 ? 1 : 0;
  }
  if (a.is_undefined()) interpreter.fail("{}", a.undefined_message());
  if (b.is_undefined()) interpreter.fail("{}", b.undefined_message());
  if (!a.is_sequence() || a.kind() != b.kind())
    interpreter.fail("'{}' not supported between instances of '{}' and '{}'", op, type_name(a),
                     type_name(b));
  const std::size_t common = std::min(a.items().size(), b.items().size());
  for (std::size_t k = 0; k < common; ++k)
    if (!equal(interpreter, a.items()[k], b.items()[k]))
      return order(interpreter, op, a.items()[k], b.items()[k]);
  return a.items().size() < b.items().size() ? -1 : a.items().size() > b.items().size() ? 1 : 0;
}

}  // namespace

bool compare(Interpreter& interpreter, std::string_view op, const Value& a, const Value& b) {
  const int sign = order(interpreter, op, a, b);
  if (sign == 2) return false;
  if (op == "<") return sign < 0;
  if (op == "<=") return sign <= 0;
  return op == ">" ? sign > 0 : sign >= 0;
}

bool contains(Interpreter& interpreter, const Value& container, const Value& item) {
  if (container.is_text()) {
    if (!item.is_text())
      interpreter.fail("'in <string>' requires string as left operand, not {}", type_name(item));
    const auto &text = container.bytes(), &part = item.bytes();
    interpreter.work(text.size());
    return ::memmem(text.data(), text.size(), part.data(), part.size()) != nullptr;
  }
  if (container.is(Kind::kDict)) {
    expect_hashable(interpreter, item);
    return container.dict().find(item) != nullptr;
  }
  if (const auto* view = container.object_as<DictView>();
      view != nullptr && view->part == DictView::Part::kKeys)
    return contains(interpreter, Value(view->dict), item);
  if (!is_iterable(container))
    interpreter.fail("argument of type '{}' is not iterable", type_name(container));
  const auto iterator = iterate(interpreter, container);
  for (Value next = iterator->next(interpreter); !next.is_missing();
       next = iterator->next(interpreter))
    if (next.is_same(item) || equal(interpreter, next, item)) return true;
  return false;
}

std::string repeat(Interpreter& interpreter, std::string_view text, Int count) {
  if (count <= 0 || text.empty()) return {};
  const Int size = count > Int{1} << 60 ? Int{1} << 60 : count * static_cast<Int>(text.size());
  interpreter.expect_room(static_cast<std::size_t>(size > Int{1} << 60 ? Int{1} << 60 : size));
  std::string out;
  out.reserve(static_cast<std::size_t>(size));
  for (Int k = 0; k < count; ++k) out += text;
  return out;
}

namespace {

Value repeat_items(Interpreter& interpreter, const Value& sequence, Int count) {
  const auto& items = sequence.items();
  std::vector<Value> out;
  if (count > 0 && !items.empty()) {
    const Int bytes =
        count > Int{1} << 50 ? Int{1} << 60 : count * static_cast<Int>(items.size() * 64);
    interpreter.expect_room(static_cast<std::size_t>(bytes));
    for (Int k = 0; k < count; ++k) out.insert(out.end(), items.begin(), items.end());
  }
  return sequence.is(Kind::kList) ? interpreter.list(std::move(out))
                                  : interpreter.tuple(std::move(out));
}

Value add(Interpreter& interpreter, const Value& a, const Value& b) {
  if (a.is_text() && b.is_text()) {
    const bool markup = a.text().markup || b.text().markup;
    const auto part = [&](const Value& value) {
      return markup ? escape(interpreter, value) : value.bytes();
    };
    interpreter.expect_room(a.bytes().size() + b.bytes().size());
    return interpreter.text(part(a) + part(b), markup);
  }
  std::vector<Value> items = a.items();
  items.insert(items.end(), b.items().begin(), b.items().end());
  return a.is(Kind::kList) ? interpreter.list(std::move(items))
                           : interpreter.tuple(std::move(items));
}

[[noreturn]] void fail_operands(Interpreter& interpreter, std::string_view op, const Value& a,
                                const Value& b) {
  if (op == "+" && a.is_text())
    interpreter.fail("can only concatenate str (not \"{}\") to str", type_name(b));
  if (op == "+" && a.is_sequence())
    interpreter.fail("can only concatenate {0} (not \"{1}\") to {0}", type_name(a), type_name(b));
  interpreter.fail("unsupported operand type(s) for {}: '{}' and '{}'",
                   op == "**" ? "** or pow()" : op, type_name(a), type_name(b));
}

}  // namespace

Value binary(Interpreter& interpreter, std::string_view op, const Value& a, const Value& b) {
  if (a.is_undefined()) interpreter.fail("{}", a.undefined_message());
  if (op == "%" && a.is_text()) return percent_format(interpreter, a, b);
  if (b.is_undefined()) interpreter.fail("{}", b.undefined_message());
  if (a.is_number() && b.is_number()) return number_arithmetic(interpreter, op, a, b);
  if (op == "+" && ((a.is_text() && b.is_text()) || (a.is_sequence() && a.kind() == b.kind())))
    return add(interpreter, a, b);
  if (op == "*" && (a.is_integral() || b.is_integral())) {
    const Value& repeated = a.is_integral() ? b : a;
    const Int count = a.is_integral() ? a.integer() : b.integer();
    if (repeated.is_text())
      return interpreter.text_like(repeated, repeat(interpreter, repeated.bytes(), count));
    if (repeated.is_sequence()) return repeat_items(interpreter, repeated, count);
  }
  fail_operands(interpreter, op, a, b);
}

Value unary(Interpreter& interpreter, std::string_view op, const Value& value) {
  if (value.is_undefined()) interpreter.fail("{}", value.undefined_message());
  if (!value.is_number())
    interpreter.fail("bad operand type for unary {}: '{}'", op, type_name(value));
  if (op == "-") return negate(interpreter, value);
  return value.is(Kind::kBool) ? Value(value.integer()) : value;
}

}  // namespace whit::jinja
