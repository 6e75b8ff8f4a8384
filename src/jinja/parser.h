#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "jinja/ast.h"
#include "jinja/lexer.h"

namespace whit::jinja {

// jinja2's grammar, with its tags `break`, `continue` and transformers' `generation`. Names are not
// resolved yet (resolver.h). Errors: kInput, with the line.
class Parser {
 public:
  // `run` counts the cost and names the line in errors.
  Parser(Run& run, std::string_view source) : run_(run), tokens_(tokenize(run, source)) {}

  std::vector<StatementPtr> parse();

 private:
  class Nesting;
  using Names = std::initializer_list<std::string_view>;

  // Tokens.
  const Token& current() const { return tokens_[at_]; }
  const Token& look() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& next();
  bool is_operator(std::string_view op) const;
  bool is_name(std::string_view name) const;
  bool is_name(const Token& token, Names names) const;
  bool skip_operator(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_operator(std::string_view op);
  void expect_name(std::string_view name);
  std::string expect_any_name();
  void expect(TokenKind kind, std::string_view what);
  [[noreturn]] void fail_expected(std::string_view what) const;
  template <typename... Args>
  [[noreturn]] void fail(int line, fmt::format_string<Args...> format, Args&&... args) const {
    run_.at_line(line);
    run_.fail(format, std::forward<Args>(args)...);
  }

  // Statements.
  std::vector<StatementPtr> parse_until(Names ends);  // stops at the tag's name
  std::vector<StatementPtr> parse_body(Names ends);   // after the rest of the opening tag
  std::vector<StatementPtr> parse_closed_body(std::string_view end);
  StatementPtr parse_statement();
  StatementPtr parse_set();
  StatementPtr parse_for();
  StatementPtr parse_if();
  StatementPtr parse_with();
  StatementPtr parse_block();
  StatementPtr parse_macro();
  StatementPtr parse_call_block();
  StatementPtr parse_generation();
  StatementPtr parse_filter_block();
  StatementPtr parse_autoescape();
  StatementPtr parse_load();
  void parse_signature(MacroNode& macro);
  [[noreturn]] void fail_tag(const std::string& name, int line) const;

  // Expressions, loosest first.
  ExpressionPtr parse_tuple(bool with_conditional, Names ends, bool is_parenthesized);
  ExpressionPtr parse_target(Names ends, bool with_space);
  ExpressionPtr parse_target_part(bool with_space);
  ExpressionPtr parse_expression(bool with_conditional = true);
  ExpressionPtr parse_conditional();
  ExpressionPtr parse_or();
  ExpressionPtr parse_and();
  ExpressionPtr parse_not();
  ExpressionPtr parse_compare();
  ExpressionPtr parse_sum();
  ExpressionPtr parse_concat();
  ExpressionPtr parse_product();
  ExpressionPtr parse_power();
  ExpressionPtr parse_unary(bool with_filter = true);
  ExpressionPtr parse_primary();
  ExpressionPtr parse_list();
  ExpressionPtr parse_dict();
  ExpressionPtr parse_postfix(ExpressionPtr operand);
  ExpressionPtr parse_filter_expression(ExpressionPtr operand);
  ExpressionPtr parse_subscript(ExpressionPtr operand);
  ExpressionPtr parse_subscribed(ExpressionPtr operand, int line);
  ExpressionPtr parse_filter(ExpressionPtr operand, bool is_begun = false);
  ExpressionPtr parse_test(ExpressionPtr operand);
  std::unique_ptr<Call> parse_arguments();
  bool ends_tuple(Names ends) const;

  ExpressionPtr make(ExpressionKind kind, int line, std::string name = {}) const;
  void adopt(Expression& parent, ExpressionPtr child) const;
  ExpressionPtr make_call(ExpressionKind kind, int line, std::string name, ExpressionPtr operand,
                          std::unique_ptr<Call> call) const;
  ExpressionPtr binary(ExpressionKind kind, int line, std::string op, ExpressionPtr left,
                       ExpressionPtr right) const;

  Run& run_;
  const std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int nesting_ = 0;
  std::vector<std::string> open_tags_;
};

// Counts expressions and blocks within each other.
class Parser::Nesting {
 public:
  explicit Nesting(Parser& parser) : parser_(parser) {
    if (++parser_.nesting_ > parser_.run_.limits().nesting)
      parser_.fail(parser_.current().line, "nested deeper than {} levels; expected no more",
                   parser_.run_.limits().nesting);
  }
  ~Nesting() { --parser_.nesting_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  Parser& parser_;
};

}  // namespace whit::jinja
