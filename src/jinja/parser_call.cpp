#include "jinja/parser.h"

namespace whit::jinja {

// One key between brackets, or a slice whose operand comes later.
ExpressionPtr Parser::parse_subscribed(ExpressionPtr operand, int line) {
  ExpressionPtr start;
  if (!is_operator(":")) {
    start = parse_expression();
    if (!is_operator(":")) return start;
  }
  next();
  auto slice = make(ExpressionKind::kSlice, line);
  adopt(*slice, std::move(operand));
  adopt(*slice, std::move(start));
  const auto is_end = [&] { return is_operator("]") || is_operator(","); };
  adopt(*slice, is_end() || is_operator(":") ? nullptr : parse_expression());
  const bool has_step = skip_operator(":") && !is_end();
  adopt(*slice, has_step ? parse_expression() : nullptr);
  return slice;
}

std::unique_ptr<Call> Parser::parse_arguments() {
  const int line = current().line;
  expect_operator("(");
  auto call = std::make_unique<Call>();
  const auto ensure = [&](bool holds) {
    if (!holds) fail(line, "invalid syntax for function call expression");
  };
  bool needs_comma = false;
  while (!is_operator(")")) {
    if (needs_comma) {
      expect_operator(",");
      if (is_operator(")")) break;
    }
    needs_comma = true;
    if (skip_operator("*")) {
      ensure(!call->more_positional && !call->more_named);
      call->more_positional = parse_expression();
    } else if (skip_operator("**")) {
      ensure(!call->more_named);
      call->more_named = parse_expression();
    } else if (current().kind == TokenKind::kName && look().kind == TokenKind::kOperator &&
               look().text == "=") {
      ensure(!call->more_named);
      std::string name = next().text;
      next();
      for (const auto& [other, value] : call->named)
        if (other == name) fail(line, "keyword argument repeated: {}", name);
      call->named.emplace_back(std::move(name), parse_expression());
    } else {
      ensure(!call->more_positional && !call->more_named && call->named.empty());
      call->positional.push_back(parse_expression());
    }
  }
  expect_operator(")");
  return call;
}

ExpressionPtr Parser::parse_filter(ExpressionPtr operand, bool is_begun) {
  while (is_begun || is_operator("|")) {
    if (!is_begun) next();
    is_begun = false;
    const int line = current().line;
    std::string name = expect_any_name();
    while (skip_operator(".")) name += "." + expect_any_name();
    auto call = is_operator("(") ? parse_arguments() : std::make_unique<Call>();
    operand = make_call(ExpressionKind::kFilter, line, std::move(name), std::move(operand),
                        std::move(call));
  }
  return operand;
}

ExpressionPtr Parser::parse_test(ExpressionPtr operand) {
  const int line = next().line;
  const bool is_negated = skip_name("not");
  std::string name = expect_any_name();
  while (skip_operator(".")) name += "." + expect_any_name();
  auto call = std::make_unique<Call>();
  const TokenKind kind = current().kind;
  if (is_operator("(")) {
    call = parse_arguments();
  } else if ((kind == TokenKind::kName && !is_name(current(), {"else", "or", "and"})) ||
             kind == TokenKind::kText || kind == TokenKind::kNumber || is_operator("[") ||
             is_operator("{")) {
    if (is_name("is")) fail(line, "You cannot chain multiple tests with is");
    const Nesting nesting(*this);
    call->positional.push_back(parse_postfix(parse_primary()));
  }
  auto test =
      make_call(ExpressionKind::kTest, line, std::move(name), std::move(operand), std::move(call));
  if (!is_negated) return test;
  auto negation = make(ExpressionKind::kNot, line);
  adopt(*negation, std::move(test));
  return negation;
}

}  // namespace whit::jinja
