#include <algorithm>

#include "jinja/resolver.h"

namespace whit::jinja {

namespace {

bool has_scoped_block(const std::vector<StatementPtr>& body) {
  return std::any_of(body.begin(), body.end(), [](const StatementPtr& statement) {
    return (statement->kind == StatementKind::kBlock && statement->is_scoped) ||
           has_scoped_block(statement->body) || has_scoped_block(statement->elifs) ||
           has_scoped_block(statement->otherwise) ||
           (statement->macro && has_scoped_block(statement->macro->body.statements));
  });
}

bool stores(const Expression* target, std::string_view name) {
  if (target == nullptr) return false;
  if (target->kind == ExpressionKind::kName) return target->name == name;
  return target->kind == ExpressionKind::kTuple &&
         std::any_of(target->operands.begin(), target->operands.end(),
                     [&](const ExpressionPtr& part) { return stores(part.get(), name); });
}

// `loop` may not be assigned anywhere within a loop.
bool stores_loop(const std::vector<StatementPtr>& body) {
  return std::any_of(body.begin(), body.end(), [](const StatementPtr& statement) {
    return stores(statement->target.get(), "loop") || stores_loop(statement->body) ||
           stores_loop(statement->elifs) || stores_loop(statement->otherwise) ||
           (statement->macro && stores_loop(statement->macro->body.statements));
  });
}

}  // namespace

void Resolver::bind_loop_test(const Place& place, Statement& statement) {
  Function function{place.function, {}};
  Symbols symbols(function, place.symbols);
  visit_target(symbols, *statement.test_target, true);
  visit(symbols, statement.test.get());
  statement.test_scope = symbols.scope();
  const Place inner{&symbols, &function};
  bind(inner, statement.test_target.get());
  bind(inner, statement.test.get());
  statement.test_slots = static_cast<int>(function.slots.size());
}

void Resolver::bind_for(const Place& place, Statement& statement) {
  if (stores(statement.target.get(), "loop") || stores_loop(statement.body) ||
      stores_loop(statement.otherwise))
    run_.fail("Can't assign to special loop variable in for-loop target");
  bind(place, statement.expression.get());
  if (statement.test) bind_loop_test(place, statement);
  Function own{place.function, {}};
  Function& function = statement.is_recursive ? own : *place.function;
  Symbols symbols(function, place.symbols);
  const bool is_extended = statement.is_recursive ||
                           !undeclared(statement.body, {"loop"}).empty() ||
                           has_scoped_block(statement.body);
  if (is_extended) statement.loop_reference = {0, symbols.declare_parameter("loop")};
  visit_target(symbols, *statement.target, true);
  visit(symbols, statement.body);
  statement.scope = symbols.scope();
  Place inner{&symbols, &function};
  inner.is_in_loop = true;
  bind(inner, statement.target.get());
  bind(inner, statement.body);

  Symbols otherwise(function, place.symbols);
  visit(otherwise, statement.otherwise);
  statement.else_scope = otherwise.scope();
  Place outside{&otherwise, &function};
  outside.is_in_loop = place.is_in_loop && !statement.is_recursive;
  bind(outside, statement.otherwise);
  statement.function_slots = static_cast<int>(own.slots.size());
}

void Resolver::bind_with(const Place& place, Statement& statement) {
  Symbols symbols(*place.function, place.symbols);
  for (const auto& target : statement.targets) visit_target(symbols, *target, true);
  visit(symbols, statement.body);
  statement.scope = symbols.scope();
  Place inner{&symbols, place.function};
  inner.is_in_loop = place.is_in_loop;
  for (auto& target : statement.targets) bind(inner, target.get());
  for (auto& value : statement.expressions) bind(place, value.get());
  bind(inner, statement.body);
}

// A set block, a filter block, autoescape: a scope, whose expression is its filter or its option.
void Resolver::bind_inner(const Place& place, Statement& statement) {
  Symbols symbols(*place.function, place.symbols);
  visit(symbols, statement.body);
  visit(symbols, statement.expression.get());
  statement.scope = symbols.scope();
  Place inner{&symbols, place.function};
  inner.is_in_loop = place.is_in_loop;
  bind(inner, statement.body);
  bind(inner, statement.expression.get());
}

void Resolver::bind(const Place& place, Statement& statement) {
  run_.at_line(statement.line);
  run_.step();
  statement.is_toplevel = place.is_toplevel;
  switch (statement.kind) {
    case StatementKind::kIf:
      return bind_if(place, statement);
    case StatementKind::kFor:
      return bind_for(place, statement);
    case StatementKind::kWith:
      return bind_with(place, statement);
    case StatementKind::kSetBlock:
      bind(place, statement.target.get());
      [[fallthrough]];
    case StatementKind::kFilter:
    case StatementKind::kAutoescape:
      return bind_inner(place, statement);
    case StatementKind::kMacro:
      statement.macro->reference = place.symbols->reference(statement.macro->name, *place.function);
      return bind_macro(place, *statement.macro);
    case StatementKind::kCall:
      bind_macro(place, *statement.macro);
      return bind(place, statement.expression.get());
    case StatementKind::kGeneration:
      return bind_macro(place, *statement.macro);
    case StatementKind::kSet:
      bind(place, statement.target.get());
      return bind(place, statement.expression.get());
    case StatementKind::kBreak:
    case StatementKind::kContinue:
      if (!place.is_in_loop) run_.fail("break or continue outside a loop; expected one within");
      return;
    case StatementKind::kBlock:
      if (!statement.is_scoped) return;
      for (const auto& name : place.symbols->all_stores())
        statement.visible.emplace_back(name, place.symbols->reference(name, *place.function));
      return;
    case StatementKind::kOutput:
      for (auto& expression : statement.expressions) bind(place, expression.get());
      return;
    case StatementKind::kLoad:
      return bind(place, statement.expression.get());
  }
}

void Resolver::bind_block(Body& body) {
  Function function;
  Symbols symbols(function, nullptr);
  const auto asked = undeclared(body.statements, {"self", "super"});
  if (asked.count("self") != 0) body.self_slot = symbols.declare_parameter("self");
  if (asked.count("super") != 0) body.super_slot = symbols.declare_parameter("super");
  visit(symbols, body.statements);
  body.scope = symbols.scope();
  bind(Place{&symbols, &function}, body.statements);
  body.slots = static_cast<int>(function.slots.size());
}

void Resolver::collect_blocks(Program& program, const std::vector<StatementPtr>& body) {
  for (const auto& statement : body) {
    collect_blocks(program, statement->body);
    collect_blocks(program, statement->elifs);
    collect_blocks(program, statement->otherwise);
    if (statement->macro) collect_blocks(program, statement->macro->body.statements);
    if (statement->kind != StatementKind::kBlock) continue;
    auto& block = program.blocks[statement->name];
    run_.at_line(statement->line);
    if (block) run_.fail("block '{}' defined twice", statement->name);
    block = std::make_unique<Block>();
    block->is_required = statement->is_required;
    block->body.statements = std::move(statement->body);
  }
}

void Resolver::resolve(Program& program, std::vector<StatementPtr> statements) {
  collect_blocks(program, statements);
  Body& root = program.root;
  root.statements = std::move(statements);
  Function function;
  Symbols symbols(function, nullptr);
  if (!undeclared(root.statements, {"self"}).empty())
    root.self_slot = symbols.declare_parameter("self");
  visit(symbols, root.statements);
  root.scope = symbols.scope();
  Place place{&symbols, &function};
  place.is_toplevel = true;
  bind(place, root.statements);
  root.slots = static_cast<int>(function.slots.size());
  for (auto& [name, block] : program.blocks) bind_block(block->body);
}

}  // namespace whit::jinja
