#include "jinja/parser.h"

#include <algorithm>

namespace whit::jinja {

const Token& Parser::next() {
  const Token& token = tokens_[at_];
  if (at_ + 1 < tokens_.size()) ++at_;
  run_.at_line(current().line);
  return token;
}

bool Parser::is_operator(std::string_view op) const {
  return current().kind == TokenKind::kOperator && current().text == op;
}

bool Parser::is_name(std::string_view name) const {
  return current().kind == TokenKind::kName && current().text == name;
}

bool Parser::is_name(const Token& token, Names names) const {
  return token.kind == TokenKind::kName &&
         std::find(names.begin(), names.end(), token.text) != names.end();
}

bool Parser::skip_operator(std::string_view op) {
  const bool found = is_operator(op);
  if (found) next();
  return found;
}

bool Parser::skip_name(std::string_view name) {
  const bool found = is_name(name);
  if (found) next();
  return found;
}

void Parser::fail_expected(std::string_view what) const {
  fail(current().line, "found '{}'; expected '{}'", description(current()), what);
}

void Parser::expect_operator(std::string_view op) {
  if (!skip_operator(op)) fail_expected(op);
}

void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) fail_expected(name);
}

std::string Parser::expect_any_name() {
  if (current().kind != TokenKind::kName) fail_expected("name");
  return next().text;
}

void Parser::expect(TokenKind kind, std::string_view what) {
  if (current().kind != kind) fail_expected(what);
  next();
}

std::vector<StatementPtr> Parser::parse() {
  auto statements = parse_until({});
  if (current().kind != TokenKind::kEnd) fail_expected("end of template");
  return statements;
}

std::vector<StatementPtr> Parser::parse_until(Names ends) {
  const Nesting nesting(*this);
  std::vector<StatementPtr> body;
  StatementPtr output;
  const auto flush = [&] {
    if (output) body.push_back(std::move(output));
  };
  const auto print = [&](ExpressionPtr expression) {
    if (!output) output = std::make_unique<Statement>();
    if (output->expressions.empty()) output->line = expression->line;
    output->expressions.push_back(std::move(expression));
  };
  while (current().kind != TokenKind::kEnd) {
    if (current().kind == TokenKind::kData) {
      auto data = make(ExpressionKind::kConstant, current().line);
      data->constant = Value::text(next().text);
      print(std::move(data));
    } else if (current().kind == TokenKind::kVariableBegin) {
      next();
      print(parse_tuple(true, {}, false));
      expect(TokenKind::kVariableEnd, "end of print statement");
    } else {
      flush();
      next();
      if (is_name(current(), ends)) return body;
      body.push_back(parse_statement());
      expect(TokenKind::kBlockEnd, "end of statement block");
    }
  }
  flush();
  return body;
}

std::vector<StatementPtr> Parser::parse_body(Names ends) {
  skip_operator(":");
  expect(TokenKind::kBlockEnd, "end of statement block");
  auto body = parse_until(ends);
  if (current().kind == TokenKind::kEnd)
    fail(current().line, "the template ends within '{}'; expected {}", open_tags_.back(),
         fmt::join(ends, " or "));
  return body;
}

std::vector<StatementPtr> Parser::parse_closed_body(std::string_view end) {
  auto body = parse_body({end});
  next();
  return body;
}

void Parser::fail_tag(const std::string& name, int line) const {
  if (open_tags_.empty()) fail(line, "unknown tag '{}'; expected one of jinja2's", name);
  fail(line, "unknown tag '{}'; expected one of jinja2's, or the end of '{}'", name,
       open_tags_.back());
}

StatementPtr Parser::parse_statement() {
  const Token token = current();
  if (token.kind != TokenKind::kName) fail(token.line, "no name of a tag; expected one");
  using Parse = StatementPtr (Parser::*)();
  static const std::pair<std::string_view, Parse> kTags[] = {
      {"for", &Parser::parse_for},
      {"if", &Parser::parse_if},
      {"set", &Parser::parse_set},
      {"macro", &Parser::parse_macro},
      {"call", &Parser::parse_call_block},
      {"generation", &Parser::parse_generation},
      {"filter", &Parser::parse_filter_block},
      {"with", &Parser::parse_with},
      {"block", &Parser::parse_block},
      {"autoescape", &Parser::parse_autoescape},
      {"print", nullptr},
      {"break", nullptr},
      {"continue", nullptr},
      {"extends", &Parser::parse_load},
      {"include", &Parser::parse_load},
      {"import", &Parser::parse_load},
      {"from", &Parser::parse_load},
  };
  const auto tag = std::find_if(std::begin(kTags), std::end(kTags),
                                [&](const auto& entry) { return entry.first == token.text; });
  if (tag == std::end(kTags)) fail_tag(token.text, token.line);
  open_tags_.push_back(token.text);
  StatementPtr statement;
  if (tag->second != nullptr) {
    statement = (this->*tag->second)();
  } else {
    next();
    statement = std::make_unique<Statement>();
    statement->kind = token.text == "break"      ? StatementKind::kBreak
                      : token.text == "continue" ? StatementKind::kContinue
                                                 : StatementKind::kOutput;
    if (statement->kind == StatementKind::kOutput) {
      while (current().kind != TokenKind::kBlockEnd) {
        if (!statement->expressions.empty()) expect_operator(",");
        statement->expressions.push_back(parse_expression());
      }
    }
  }
  statement->line = token.line;
  open_tags_.pop_back();
  return statement;
}

StatementPtr Parser::parse_set() {
  next();
  auto statement = std::make_unique<Statement>();
  statement->target = parse_target({}, true);
  if (skip_operator("=")) {
    statement->kind = StatementKind::kSet;
    statement->expression = parse_tuple(true, {}, false);
    return statement;
  }
  statement->kind = StatementKind::kSetBlock;
  statement->expression = parse_filter(nullptr);
  statement->body = parse_closed_body("endset");
  return statement;
}

StatementPtr Parser::parse_for() {
  next();
  auto statement = std::make_unique<Statement>();
  statement->kind = StatementKind::kFor;
  const std::size_t target_at = at_;
  statement->target = parse_target({"in"}, false);
  expect_name("in");
  const auto parse_iterated = [&] { return parse_tuple(false, {"recursive"}, false); };
  statement->expression = parse_iterated();
  if (skip_name("if")) {
    statement->test = parse_expression();
    const std::size_t here = at_;
    at_ = target_at;
    statement->test_target = parse_target({"in"}, false);
    at_ = here;
  }
  statement->is_recursive = skip_name("recursive");
  statement->body = parse_body({"endfor", "else"});
  if (next().text == "else") statement->otherwise = parse_closed_body("endfor");
  return statement;
}

StatementPtr Parser::parse_if() {
  auto result = std::make_unique<Statement>();
  Statement* branch = result.get();
  next();
  while (true) {
    branch->kind = StatementKind::kIf;
    branch->line = current().line;
    branch->expression = parse_tuple(false, {}, false);
    branch->body = parse_body({"elif", "else", "endif"});
    const std::string word = next().text;
    if (word == "endif") return result;
    if (word == "else") {
      result->otherwise = parse_closed_body("endif");
      return result;
    }
    result->elifs.push_back(std::make_unique<Statement>());
    branch = result->elifs.back().get();
  }
}

StatementPtr Parser::parse_with() {
  next();
  auto statement = std::make_unique<Statement>();
  statement->kind = StatementKind::kWith;
  while (current().kind != TokenKind::kBlockEnd) {
    if (!statement->targets.empty()) expect_operator(",");
    statement->targets.push_back(parse_target({}, false));
    statement->targets.back()->is_parameter = true;
    expect_operator("=");
    statement->expressions.push_back(parse_expression());
  }
  statement->body = parse_closed_body("endwith");
  return statement;
}

StatementPtr Parser::parse_autoescape() {
  next();
  auto statement = std::make_unique<Statement>();
  statement->kind = StatementKind::kAutoescape;
  statement->expression = parse_expression();
  statement->body = parse_closed_body("endautoescape");
  return statement;
}

StatementPtr Parser::parse_block() {
  next();
  auto statement = std::make_unique<Statement>();
  statement->kind = StatementKind::kBlock;
  statement->name = expect_any_name();
  statement->is_scoped = skip_name("scoped");
  statement->is_required = skip_name("required");
  if (is_operator("-"))
    fail(current().line, "a block's name with a hyphen; expected an identifier");
  statement->body = parse_closed_body("endblock");
  skip_name(statement->name);
  return statement;
}

StatementPtr Parser::parse_load() {
  auto statement = std::make_unique<Statement>();
  statement->kind = StatementKind::kLoad;
  statement->name = next().text;
  statement->expression = parse_expression();
  const auto parse_context = [&] {
    if (is_name(current(), {"with", "without"}) && is_name(look(), {"context"})) {
      next();
      next();
    }
  };
  if (statement->name == "include" && is_name("ignore")) {
    next();
    expect_name("missing");
  } else if (statement->name == "import") {
    expect_name("as");
    statement->target = make(ExpressionKind::kName, current().line, expect_any_name());
  } else if (statement->name == "from") {
    expect_name("import");
    while (current().kind == TokenKind::kName) {
      auto target = make(ExpressionKind::kName, current().line, expect_any_name());
      if (skip_name("as")) target->name = expect_any_name();
      statement->targets.push_back(std::move(target));
      if (!skip_operator(",")) break;
    }
  }
  parse_context();
  return statement;
}

void Parser::parse_signature(MacroNode& macro) {
  expect_operator("(");
  while (!is_operator(")")) {
    if (!macro.parameters.empty()) expect_operator(",");
    auto parameter = make(ExpressionKind::kName, current().line, expect_any_name());
    if (is_name(Token{TokenKind::kName, parameter->name, {}, 1},
                {"true", "false", "none", "True", "False", "None"}))
      fail(parameter->line, "can't assign to '{}'", parameter->name);
    parameter->is_parameter = true;
    if (skip_operator("="))
      macro.defaults.push_back(parse_expression());
    else if (!macro.defaults.empty())
      fail(current().line, "non-default argument follows default argument");
    macro.parameters.push_back(std::move(parameter));
  }
  expect_operator(")");
}

StatementPtr Parser::parse_macro() {
  const int line = next().line;
  auto statement = std::make_unique<Statement>();
  statement->kind = StatementKind::kMacro;
  auto macro = std::make_unique<MacroNode>();
  macro->is_named = true;
  macro->line = line;
  macro->name = expect_any_name();
  parse_signature(*macro);
  macro->body.statements = parse_closed_body("endmacro");
  statement->macro = std::move(macro);
  return statement;
}

StatementPtr Parser::parse_call_block() {
  const int line = next().line;
  auto statement = std::make_unique<Statement>();
  statement->kind = StatementKind::kCall;
  auto macro = std::make_unique<MacroNode>();
  macro->line = line;
  if (is_operator("(")) parse_signature(*macro);
  statement->expression = parse_expression();
  if (statement->expression->kind != ExpressionKind::kCall) fail(line, "expected call");
  macro->body.statements = parse_closed_body("endcall");
  statement->macro = std::move(macro);
  return statement;
}

StatementPtr Parser::parse_generation() {
  const int line = next().line;
  auto statement = std::make_unique<Statement>();
  statement->kind = StatementKind::kGeneration;
  auto macro = std::make_unique<MacroNode>();
  macro->line = line;
  macro->body.statements = parse_closed_body("endgeneration");
  statement->macro = std::move(macro);
  return statement;
}

StatementPtr Parser::parse_filter_block() {
  next();
  auto statement = std::make_unique<Statement>();
  statement->kind = StatementKind::kFilter;
  statement->expression = parse_filter(nullptr, true);
  statement->body = parse_closed_body("endfilter");
  return statement;
}

}  // namespace whit::jinja
