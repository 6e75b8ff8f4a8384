#include <algorithm>

#include "jinja/builtins.h"
#include "jinja/parser.h"

namespace whit::jinja {

ExpressionPtr Parser::make(ExpressionKind kind, int line, std::string name) const {
  auto expression = std::make_unique<Expression>();
  expression->kind = kind;
  expression->line = line;
  expression->name = std::move(name);
  return expression;
}

// A chain of operators is as deep as it is long, for whoever walks or frees it.
void Parser::adopt(Expression& parent, ExpressionPtr child) const {
  if (child) parent.height = std::max(parent.height, child->height + 1);
  const int most = run_.limits().nesting * 4;
  if (parent.height > most)
    fail(parent.line, "an expression nested deeper than {} levels; expected no more", most);
  parent.operands.push_back(std::move(child));
}

ExpressionPtr Parser::binary(ExpressionKind kind, int line, std::string op, ExpressionPtr left,
                             ExpressionPtr right) const {
  auto expression = make(kind, line, std::move(op));
  adopt(*expression, std::move(left));
  adopt(*expression, std::move(right));
  return expression;
}

ExpressionPtr Parser::make_call(ExpressionKind kind, int line, std::string name,
                                ExpressionPtr operand, std::unique_ptr<Call> call) const {
  auto expression = make(kind, line, std::move(name));
  const auto count = [&](const ExpressionPtr& argument) {
    if (argument) expression->height = std::max(expression->height, argument->height + 1);
  };
  for (const auto& argument : call->positional) count(argument);
  for (const auto& [key, argument] : call->named) count(argument);
  count(call->more_positional);
  count(call->more_named);
  adopt(*expression, std::move(operand));
  expression->call = std::move(call);
  if (kind == ExpressionKind::kFilter) expression->builtin = find_filter(expression->name);
  if (kind == ExpressionKind::kTest) expression->builtin = find_test(expression->name);
  return expression;
}

bool Parser::ends_tuple(Names ends) const {
  return current().kind == TokenKind::kVariableEnd || current().kind == TokenKind::kBlockEnd ||
         is_operator(")") || is_name(current(), ends);
}

ExpressionPtr Parser::parse_tuple(bool with_conditional, Names ends, bool is_parenthesized) {
  const int line = current().line;
  std::vector<ExpressionPtr> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) expect_operator(",");
    if (ends_tuple(ends)) break;
    items.push_back(parse_expression(with_conditional));
    if (!is_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !items.empty()) return std::move(items[0]);
  if (!is_tuple && !is_parenthesized) fail_expected("an expression");
  auto tuple = make(ExpressionKind::kTuple, line);
  for (auto& item : items) adopt(*tuple, std::move(item));
  return tuple;
}

ExpressionPtr Parser::parse_target_part(bool with_space) {
  const Nesting nesting(*this);
  const int line = current().line;
  if (skip_operator("(")) {
    auto target = parse_target({}, false);
    expect_operator(")");
    return target;
  }
  if (current().kind != TokenKind::kName)
    fail(line, "can't assign to '{}'", description(current()));
  std::string name = next().text;
  if (is_name(Token{TokenKind::kName, name, {}, line},
              {"true", "false", "none", "True", "False", "None"}))
    fail(line, "can't assign to '{}'", name);
  if (!with_space || !skip_operator(".")) return make(ExpressionKind::kName, line, std::move(name));
  auto target = make(ExpressionKind::kSpaceAttribute, line, expect_any_name());
  adopt(*target, make(ExpressionKind::kName, line, std::move(name)));
  return target;
}

ExpressionPtr Parser::parse_target(Names ends, bool with_space) {
  const int line = current().line;
  std::vector<ExpressionPtr> parts;
  bool is_tuple = false;
  while (true) {
    if (!parts.empty()) expect_operator(",");
    if (ends_tuple(ends)) break;
    parts.push_back(parse_target_part(with_space));
    if (!is_operator(",")) break;
    is_tuple = true;
  }
  if (parts.empty()) fail_expected("a name to assign to");
  if (!is_tuple) return std::move(parts[0]);
  auto tuple = make(ExpressionKind::kTuple, line);
  for (auto& part : parts) adopt(*tuple, std::move(part));
  return tuple;
}

ExpressionPtr Parser::parse_expression(bool with_conditional) {
  const Nesting nesting(*this);
  return with_conditional ? parse_conditional() : parse_or();
}

ExpressionPtr Parser::parse_conditional() {
  int line = current().line;
  auto expression = parse_or();
  while (skip_name("if")) {
    auto conditional = make(ExpressionKind::kConditional, line);
    adopt(*conditional, parse_or());
    adopt(*conditional, std::move(expression));
    if (skip_name("else")) {
      const Nesting nesting(*this);
      adopt(*conditional, parse_conditional());
    }
    expression = std::move(conditional);
    line = current().line;
  }
  return expression;
}

ExpressionPtr Parser::parse_or() {
  int line = current().line;
  auto left = parse_and();
  while (skip_name("or")) {
    left = binary(ExpressionKind::kOr, line, "or", std::move(left), parse_and());
    line = current().line;
  }
  return left;
}

ExpressionPtr Parser::parse_and() {
  int line = current().line;
  auto left = parse_not();
  while (skip_name("and")) {
    left = binary(ExpressionKind::kAnd, line, "and", std::move(left), parse_not());
    line = current().line;
  }
  return left;
}

ExpressionPtr Parser::parse_not() {
  if (!is_name("not")) return parse_compare();
  const Nesting nesting(*this);
  auto expression = make(ExpressionKind::kNot, next().line);
  adopt(*expression, parse_not());
  return expression;
}

ExpressionPtr Parser::parse_compare() {
  auto compare = make(ExpressionKind::kCompare, current().line);
  auto first = parse_sum();
  static constexpr std::string_view kCompared[] = {"==", "!=", "<", "<=", ">", ">="};
  while (true) {
    if (current().kind == TokenKind::kOperator &&
        std::find(std::begin(kCompared), std::end(kCompared), current().text) !=
            std::end(kCompared)) {
      compare->operators.push_back(next().text);
    } else if (skip_name("in")) {
      compare->operators.emplace_back("in");
    } else if (is_name("not") && is_name(look(), {"in"})) {
      next();
      next();
      compare->operators.emplace_back("not in");
    } else {
      break;
    }
    if (compare->operators.size() == 1) adopt(*compare, std::move(first));
    adopt(*compare, parse_sum());
  }
  return compare->operators.empty() ? std::move(first) : std::move(compare);
}

ExpressionPtr Parser::parse_sum() {
  int line = current().line;
  auto left = parse_concat();
  while (is_operator("+") || is_operator("-")) {
    std::string op = next().text;
    left = binary(ExpressionKind::kBinary, line, std::move(op), std::move(left), parse_concat());
    line = current().line;
  }
  return left;
}

ExpressionPtr Parser::parse_concat() {
  auto concat = make(ExpressionKind::kConcat, current().line);
  auto first = parse_product();
  if (!is_operator("~")) return first;
  adopt(*concat, std::move(first));
  while (skip_operator("~")) adopt(*concat, parse_product());
  return concat;
}

ExpressionPtr Parser::parse_product() {
  int line = current().line;
  auto left = parse_power();
  while (is_operator("*") || is_operator("/") || is_operator("//") || is_operator("%")) {
    std::string op = next().text;
    left = binary(ExpressionKind::kBinary, line, std::move(op), std::move(left), parse_power());
    line = current().line;
  }
  return left;
}

ExpressionPtr Parser::parse_power() {
  int line = current().line;
  auto left = parse_unary();
  while (skip_operator("**")) {
    left = binary(ExpressionKind::kBinary, line, "**", std::move(left), parse_unary());
    line = current().line;
  }
  return left;
}

ExpressionPtr Parser::parse_unary(bool with_filter) {
  const Nesting nesting(*this);
  ExpressionPtr node;
  if (is_operator("-") || is_operator("+")) {
    node = make(ExpressionKind::kUnary, current().line, current().text);
    next();
    adopt(*node, parse_unary(false));
  } else {
    node = parse_primary();
  }
  node = parse_postfix(std::move(node));
  return with_filter ? parse_filter_expression(std::move(node)) : std::move(node);
}

ExpressionPtr Parser::parse_primary() {
  const Token& token = current();
  if (token.kind == TokenKind::kName) {
    next();
    auto constant = make(ExpressionKind::kConstant, token.line);
    constant->constant = Value(None{});
    if (is_name(token, {"none", "None"})) return constant;
    if (!is_name(token, {"true", "True", "false", "False"}))
      return make(ExpressionKind::kName, token.line, token.text);
    constant->constant = Value(is_name(token, {"true", "True"}));
    return constant;
  }
  if (token.kind == TokenKind::kText) {
    auto constant = make(ExpressionKind::kConstant, token.line);
    std::string text;
    while (current().kind == TokenKind::kText) text += next().text;
    constant->constant = Value::text(std::move(text));
    return constant;
  }
  if (token.kind == TokenKind::kNumber) {
    auto constant = make(ExpressionKind::kConstant, token.line);
    constant->constant = next().number;
    return constant;
  }
  if (skip_operator("(")) {
    auto tuple = parse_tuple(true, {}, true);
    expect_operator(")");
    return tuple;
  }
  if (is_operator("[")) return parse_list();
  if (is_operator("{")) return parse_dict();
  fail(token.line, "unexpected '{}'; expected an expression", description(token));
}

ExpressionPtr Parser::parse_list() {
  auto list = make(ExpressionKind::kList, next().line);
  while (!is_operator("]")) {
    if (!list->operands.empty()) expect_operator(",");
    if (is_operator("]")) break;
    adopt(*list, parse_expression());
  }
  expect_operator("]");
  return list;
}

ExpressionPtr Parser::parse_dict() {
  auto dict = make(ExpressionKind::kDict, next().line);
  while (!is_operator("}")) {
    if (!dict->operands.empty()) expect_operator(",");
    if (is_operator("}")) break;
    adopt(*dict, parse_expression());
    expect_operator(":");
    adopt(*dict, parse_expression());
  }
  expect_operator("}");
  return dict;
}

ExpressionPtr Parser::parse_postfix(ExpressionPtr operand) {
  while (true) {
    const int line = current().line;
    if (is_operator(".") || is_operator("["))
      operand = parse_subscript(std::move(operand));
    else if (is_operator("("))
      operand = make_call(ExpressionKind::kCall, line, "", std::move(operand), parse_arguments());
    else
      return operand;
  }
}

ExpressionPtr Parser::parse_filter_expression(ExpressionPtr operand) {
  while (true) {
    const int line = current().line;
    if (is_operator("|"))
      operand = parse_filter(std::move(operand));
    else if (is_name("is"))
      operand = parse_test(std::move(operand));
    else if (is_operator("("))
      operand = make_call(ExpressionKind::kCall, line, "", std::move(operand), parse_arguments());
    else
      return operand;
  }
}

ExpressionPtr Parser::parse_subscript(ExpressionPtr operand) {
  const int line = current().line;
  if (skip_operator(".")) {
    const Token token = next();
    if (token.kind == TokenKind::kName) {
      auto attribute = make(ExpressionKind::kAttribute, line, token.text);
      adopt(*attribute, std::move(operand));
      return attribute;
    }
    if (token.kind != TokenKind::kNumber || token.number.is(Kind::kFloat))
      fail(token.line, "found '{}'; expected name or number", description(token));
    auto key = make(ExpressionKind::kConstant, line);
    key->constant = token.number;
    return binary(ExpressionKind::kItem, line, "", std::move(operand), std::move(key));
  }
  next();
  std::vector<ExpressionPtr> keys;
  while (!is_operator("]")) {
    if (!keys.empty()) expect_operator(",");
    if (keys.empty() && (is_operator(":") || !is_operator("]"))) {
      auto first = parse_subscribed(nullptr, line);
      if (first->kind == ExpressionKind::kSlice && is_operator("]")) {
        next();
        first->operands[0] = std::move(operand);
        first->height = std::max(first->height, first->operands[0]->height + 1);
        return first;
      }
      keys.push_back(std::move(first));
    } else {
      keys.push_back(parse_subscribed(nullptr, line));
    }
    if (keys.back()->kind == ExpressionKind::kSlice)
      fail(line, "a slice among several keys; expected one slice");
  }
  expect_operator("]");
  if (keys.size() == 1)
    return binary(ExpressionKind::kItem, line, "", std::move(operand), std::move(keys[0]));
  auto tuple = make(ExpressionKind::kTuple, line);
  for (auto& key : keys) adopt(*tuple, std::move(key));
  return binary(ExpressionKind::kItem, line, "", std::move(operand), std::move(tuple));
}

}  // namespace whit::jinja
