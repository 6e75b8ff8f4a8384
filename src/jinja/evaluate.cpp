#include "jinja/builtins.h"
#include "jinja/interpreter.h"
#include "jinja/nested.h"
#include "jinja/operations.h"

namespace whit::jinja {

Value Interpreter::evaluate(const Expression& expression) {
  step();
  const Nested nested = deeper();
  at_line(expression.line);
  const auto& operands = expression.operands;
  switch (expression.kind) {
    case ExpressionKind::kConstant:
      return expression.constant;
    case ExpressionKind::kName:
      return evaluate_name(expression);
    case ExpressionKind::kTuple:
    case ExpressionKind::kList:
    case ExpressionKind::kDict:
      return evaluate_container(expression);
    case ExpressionKind::kAttribute: {
      const Value value = evaluate(*operands[0]);
      at_line(expression.line);
      return get_attribute(*this, value, expression.name);
    }
    case ExpressionKind::kItem:
    case ExpressionKind::kSlice:
      return evaluate_subscript(expression);
    case ExpressionKind::kCall:
      return evaluate_call(expression);
    case ExpressionKind::kFilter:
    case ExpressionKind::kTest:
      return evaluate_filter(expression);
    case ExpressionKind::kUnary:
    case ExpressionKind::kBinary:
      return evaluate_operator(expression);
    case ExpressionKind::kCompare:
      return evaluate_compare(expression);
    case ExpressionKind::kAnd:
    case ExpressionKind::kOr: {
      Value left = evaluate(*operands[0]);
      const bool decides = is_truthy(*this, left) == (expression.kind == ExpressionKind::kOr);
      return decides ? left : evaluate(*operands[1]);
    }
    case ExpressionKind::kNot:
      return Value(!is_truthy(*this, evaluate(*operands[0])));
    case ExpressionKind::kConcat:
      return evaluate_concat(expression);
    case ExpressionKind::kConditional:
      if (is_truthy(*this, evaluate(*operands[0]))) return evaluate(*operands[1]);
      if (operands.size() > 2) return evaluate(*operands[2]);
      return Value::undefined(
          fmt::format("the inline if-expression on line {} evaluated to false and no else section "
                      "was defined.",
                      expression.line));
    case ExpressionKind::kSpaceAttribute:
      break;
  }
  fail("an attribute that is assigned; expected a value");
}

Value Interpreter::evaluate_name(const Expression& expression) {
  const Value& value = slot(expression.reference);
  if (!value.is_missing()) return value;
  return Value::undefined(fmt::format("{} is undefined", in_quotes(expression.name)));
}

Value Interpreter::evaluate_container(const Expression& expression) {
  if (expression.kind == ExpressionKind::kDict) {
    Dict entries;
    for (std::size_t k = 0; k < expression.operands.size(); k += 2) {
      Value key = evaluate(*expression.operands[k]);
      Value value = evaluate(*expression.operands[k + 1]);
      at_line(expression.line);
      expect_hashable(*this, key);
      entries.set(std::move(key), std::move(value));
    }
    return dict(std::move(entries));
  }
  std::vector<Value> items;
  items.reserve(expression.operands.size());
  for (const auto& operand : expression.operands) items.push_back(evaluate(*operand));
  at_line(expression.line);
  return expression.kind == ExpressionKind::kTuple ? tuple(std::move(items))
                                                   : list(std::move(items));
}

Value Interpreter::evaluate_compare(const Expression& expression) {
  Value left = evaluate(*expression.operands[0]);
  for (std::size_t k = 0; k < expression.operators.size(); ++k) {
    Value right = evaluate(*expression.operands[k + 1]);
    at_line(expression.line);
    const std::string& op = expression.operators[k];
    bool holds = false;
    if (op == "==" || op == "!=")
      holds = equal(*this, left, right) == (op == "==");
    else if (op == "in" || op == "not in")
      holds = contains(*this, right, left) == (op == "in");
    else
      holds = compare(*this, op, left, right);
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Value Interpreter::evaluate_concat(const Expression& expression) {
  std::vector<Value> parts;
  bool has_markup = false;
  for (const auto& operand : expression.operands) {
    parts.push_back(soft_str(*this, evaluate(*operand)));
    has_markup = has_markup || parts.back().text().markup;
  }
  at_line(expression.line);
  const bool escapes = autoescape_ && has_markup;
  std::string joined;
  for (const auto& part : parts) {
    joined += escapes ? escape(*this, part) : part.bytes();
    expect_room(joined.size());
  }
  return text(std::move(joined), escapes);
}

Value Interpreter::evaluate_operator(const Expression& expression) {
  Value left = evaluate(*expression.operands[0]);
  if (expression.kind == ExpressionKind::kUnary) {
    at_line(expression.line);
    return unary(*this, expression.name, left);
  }
  const Value right = evaluate(*expression.operands[1]);
  at_line(expression.line);
  return binary(*this, expression.name, left, right);
}

Value Interpreter::evaluate_subscript(const Expression& expression) {
  const auto& operands = expression.operands;
  const Value value = evaluate(*operands[0]);
  if (expression.kind == ExpressionKind::kItem) {
    const Value key = evaluate(*operands[1]);
    at_line(expression.line);
    return get_item(*this, value, key);
  }
  const auto part = [&](std::size_t k) { return operands[k] ? evaluate(*operands[k]) : Value(); };
  const Value start = part(1);
  const Value stop = part(2);
  const Value stride = part(3);
  at_line(expression.line);
  return get_slice(*this, value, start, stop, stride);
}

Arguments Interpreter::evaluate_arguments(const Call& call) {
  Arguments arguments;
  for (const auto& argument : call.positional) arguments.positional.push_back(evaluate(*argument));
  if (call.more_positional)
    for (auto& item : to_items(*this, evaluate(*call.more_positional)))
      arguments.positional.push_back(std::move(item));
  for (const auto& [name, argument] : call.named)
    arguments.named.emplace_back(name, evaluate(*argument));
  if (!call.more_named) return arguments;
  const Value more = evaluate(*call.more_named);
  if (!more.is(Kind::kDict)) fail("argument after ** must be a mapping, not {}", type_name(more));
  for (const auto& [key, value] : more.dict().entries()) {
    if (!key.is_text()) fail("keywords must be strings");
    for (const auto& [name, given] : arguments.named)
      if (name == key.bytes()) fail("got multiple values for keyword argument '{}'", name);
    arguments.named.emplace_back(key.bytes(), value);
  }
  return arguments;
}

Value Interpreter::evaluate_call(const Expression& expression) {
  const Value function = evaluate(*expression.operands[0]);
  Arguments arguments = evaluate_arguments(*expression.call);
  at_line(expression.line);
  return call(function, std::move(arguments));
}

Value Interpreter::evaluate_filter(const Expression& expression) {
  const bool is_filter = expression.kind == ExpressionKind::kFilter;
  if (expression.builtin == nullptr)
    fail("No {} named '{}' found.", is_filter ? "filter" : "test", expression.name);
  Value value = expression.operands[0] ? evaluate(*expression.operands[0]) : block_text_;
  Arguments arguments = evaluate_arguments(*expression.call);
  arguments.positional.insert(arguments.positional.begin(), std::move(value));
  at_line(expression.line);
  return invoke(*this, *expression.builtin, std::move(arguments));
}

Value Interpreter::call(const Value& function, Arguments arguments) {
  if (function.is_undefined()) fail("{}", function.undefined_message());
  if (!function.is(Kind::kObject) || !function.object()->is_callable())
    fail("'{}' object is not callable", type_name(function));
  const Nested nested = deeper();
  return function.object()->call(*this, std::move(arguments));
}

Value Interpreter::call_filter(std::string_view name, Arguments arguments) {
  const Callable* filter = find_filter(name);
  if (filter == nullptr) fail("No filter named '{}'.", name);
  const Nested nested = deeper();
  return invoke(*this, *filter, std::move(arguments));
}

bool Interpreter::call_test(std::string_view name, Arguments arguments) {
  const Callable* test = find_test(name);
  if (test == nullptr) fail("No test named '{}'.", name);
  return is_truthy(*this, invoke(*this, *test, std::move(arguments)));
}

}  // namespace whit::jinja
