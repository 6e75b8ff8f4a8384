#include "jinja/resolver.h"

namespace whit::jinja {

namespace {

// Symbols copied for the branches of conditions, all together.
constexpr std::size_t kCopyCost = 4;

}  // namespace

void Resolver::visit(Symbols& symbols, const Call& call) {
  for (const auto& argument : call.positional) visit(symbols, argument.get());
  for (const auto& [name, argument] : call.named) visit(symbols, argument.get());
  visit(symbols, call.more_positional.get());
  visit(symbols, call.more_named.get());
}

void Resolver::visit(Symbols& symbols, const Expression* expression, bool as_parameter) {
  if (expression == nullptr) return;
  run_.step();
  if (expression->kind == ExpressionKind::kName) {
    if (as_parameter)
      symbols.declare_parameter(expression->name);
    else
      symbols.load(expression->name);
    return;
  }
  for (const auto& operand : expression->operands) visit(symbols, operand.get(), as_parameter);
  if (expression->call) visit(symbols, *expression->call);
}

void Resolver::visit_target(Symbols& symbols, const Expression& target, bool as_parameter) {
  if (target.kind == ExpressionKind::kName) {
    if (as_parameter)
      symbols.declare_parameter(target.name);
    else
      symbols.store(target.name);
  } else if (target.kind == ExpressionKind::kSpaceAttribute) {
    symbols.load(target.operands[0]->name);
  } else {
    for (const auto& part : target.operands) visit_target(symbols, *part, as_parameter);
  }
}

void Resolver::visit(Symbols& symbols, const std::vector<StatementPtr>& body) {
  for (const auto& statement : body) visit(symbols, *statement);
}

void Resolver::visit_if(Symbols& symbols, const Statement& statement) {
  visit(symbols, statement.expression.get());
  std::vector<Symbols> branches;
  for (const auto* body : {&statement.body, &statement.elifs, &statement.otherwise}) {
    run_.step(symbols.size() * kCopyCost);
    branches.push_back(symbols);
    visit(branches.back(), *body);
  }
  symbols.merge_branches(branches);
}

void Resolver::visit(Symbols& symbols, const Statement& statement) {
  run_.at_line(statement.line);
  run_.step();
  switch (statement.kind) {
    case StatementKind::kIf:
      return visit_if(symbols, statement);
    case StatementKind::kSet:
      visit(symbols, statement.expression.get());
      return visit_target(symbols, *statement.target, false);
    case StatementKind::kSetBlock:
      return visit_target(symbols, *statement.target, false);
    case StatementKind::kMacro:
      return symbols.store(statement.macro->name);
    case StatementKind::kOutput:
    case StatementKind::kWith:
      for (const auto& expression : statement.expressions) visit(symbols, expression.get());
      return;
    case StatementKind::kFor:
    case StatementKind::kCall:
    case StatementKind::kFilter:
      return visit(symbols, statement.expression.get());
    case StatementKind::kLoad:
      visit(symbols, statement.expression.get());
      if (statement.target) symbols.store(statement.target->name);
      for (const auto& target : statement.targets) symbols.store(target->name);
      return;
    default:
      return;
  }
}

void Resolver::bind(const Place& place, Call& call) {
  for (auto& argument : call.positional) bind(place, argument.get());
  for (auto& [name, argument] : call.named) bind(place, argument.get());
  bind(place, call.more_positional.get());
  bind(place, call.more_named.get());
}

void Resolver::bind(const Place& place, Expression* expression) {
  if (expression == nullptr) return;
  if (expression->kind == ExpressionKind::kName) {
    expression->reference = place.symbols->reference(expression->name, *place.function);
    return;
  }
  Place inner = place;
  if (expression->kind == ExpressionKind::kConditional) inner.is_soft = true;
  const bool is_filter = expression->kind == ExpressionKind::kFilter;
  if ((is_filter || expression->kind == ExpressionKind::kTest) && expression->builtin == nullptr &&
      !place.is_soft) {
    run_.at_line(expression->line);
    run_.fail("no {} named '{}'; expected one of jinja2's", is_filter ? "filter" : "test",
              expression->name);
  }
  for (auto& operand : expression->operands) bind(inner, operand.get());
  if (expression->call) bind(inner, *expression->call);
}

void Resolver::bind(const Place& place, const std::vector<StatementPtr>& body) {
  for (const auto& statement : body) bind(place, *statement);
}

void Resolver::bind_if(const Place& place, Statement& statement) {
  Place inner = place;
  inner.is_soft = true;
  bind(inner, statement.expression.get());
  bind(inner, statement.body);
  bind(inner, statement.elifs);
  bind(inner, statement.otherwise);
}

void Resolver::bind_macro(const Place& place, MacroNode& macro) {
  Function function{place.function, {}};
  Symbols symbols(function, place.symbols);
  for (const auto& parameter : macro.parameters) {
    macro.has_explicit_caller = macro.has_explicit_caller || parameter->name == "caller";
    symbols.declare_parameter(parameter->name);
  }
  const auto asked = undeclared(macro.body.statements, {"caller", "kwargs", "varargs"});
  const auto is_free = [&](const char* name) {
    bool is_named = false;
    for (const auto& parameter : macro.parameters) is_named = is_named || parameter->name == name;
    return asked.count(name) != 0 && !is_named;
  };
  macro.takes_caller = asked.count("caller") != 0;
  if (macro.takes_caller && macro.has_explicit_caller) {
    const std::size_t without = macro.parameters.size() - macro.defaults.size();
    for (std::size_t k = 0; k < without; ++k)
      if (macro.parameters[k]->name == "caller") {
        run_.at_line(macro.line);
        run_.fail("a parameter 'caller' without a default; expected one with, or none");
      }
  } else if (macro.takes_caller) {
    macro.caller_slot = symbols.declare_parameter("caller");
  }
  macro.takes_named = is_free("kwargs");
  if (macro.takes_named) macro.named_slot = symbols.declare_parameter("kwargs");
  macro.takes_positional = is_free("varargs");
  if (macro.takes_positional) macro.positional_slot = symbols.declare_parameter("varargs");
  for (const auto& value : macro.defaults) visit(symbols, value.get());
  visit(symbols, macro.body.statements);
  macro.body.scope = symbols.scope();

  const Place inner{&symbols, &function};
  for (auto& parameter : macro.parameters) bind(inner, parameter.get());
  for (auto& value : macro.defaults) bind(inner, value.get());
  bind(inner, macro.body.statements);
  macro.body.slots = static_cast<int>(function.slots.size());
}

}  // namespace whit::jinja
