#include "jinja/resolver.h"

namespace whit::jinja {

namespace {

// Walks as jinja2's UndeclaredNameVisitor does: fields in their order, blocks left out.
class Search {
 public:
  explicit Search(std::set<std::string> names) : names_(std::move(names)) {}

  void walk(const std::vector<StatementPtr>& body) {
    for (const auto& statement : body) walk(*statement);
  }
  std::set<std::string> found() { return std::move(found_); }

 private:
  bool is_done() const { return found_ == names_; }
  void store(const std::string& name) {
    if (!is_done()) names_.erase(name);
  }
  void store(const Expression* target) {
    if (target == nullptr) return;
    if (target->kind == ExpressionKind::kName) store(target->name);
    if (target->kind == ExpressionKind::kTuple)
      for (const auto& part : target->operands) store(part.get());
  }
  void walk(const Expression* expression) {
    if (expression == nullptr || is_done()) return;
    if (expression->kind == ExpressionKind::kName) {
      if (names_.count(expression->name) != 0) found_.insert(expression->name);
      return;
    }
    for (const auto& operand : expression->operands) walk(operand.get());
    if (!expression->call) return;
    for (const auto& argument : expression->call->positional) walk(argument.get());
    for (const auto& [name, argument] : expression->call->named) walk(argument.get());
    walk(expression->call->more_positional.get());
    walk(expression->call->more_named.get());
  }
  void walk(const MacroNode& macro) {
    for (const auto& parameter : macro.parameters) store(parameter->name);
    for (const auto& value : macro.defaults) walk(value.get());
    walk(macro.body.statements);
  }
  void walk(const Statement& statement) {
    if (is_done() || statement.kind == StatementKind::kBlock) return;
    if (statement.kind == StatementKind::kCall) walk(statement.expression.get());
    if (statement.macro) return walk(*statement.macro);
    for (const auto& target : statement.targets) store(target.get());
    store(statement.target.get());
    for (const auto& expression : statement.expressions) walk(expression.get());
    if (statement.kind == StatementKind::kFor || statement.kind == StatementKind::kIf ||
        statement.kind == StatementKind::kSet || statement.kind == StatementKind::kAutoescape ||
        statement.kind == StatementKind::kLoad)
      walk(statement.expression.get());
    if (statement.kind == StatementKind::kSetBlock) walk(statement.expression.get());
    walk(statement.body);
    if (statement.kind == StatementKind::kFilter) walk(statement.expression.get());
    walk(statement.elifs);
    walk(statement.otherwise);
    walk(statement.test.get());
  }

  std::set<std::string> names_;
  std::set<std::string> found_;
};

}  // namespace

std::set<std::string> undeclared(const std::vector<StatementPtr>& body,
                                 std::set<std::string> names) {
  Search search(std::move(names));
  search.walk(body);
  return search.found();
}

}  // namespace whit::jinja
