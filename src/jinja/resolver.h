#pragma once

#include <functional>
#include <string>

#include "jinja/symbols.h"

namespace whit::jinja {

// Gives every name of a parsed template its variable. Errors: kInput: what jinja2 refuses when it
// compiles (an unknown filter outside a condition, a block twice, break outside a loop).
class Resolver {
 public:
  explicit Resolver(Run& run) : run_(run) {}
  void resolve(Program& program, std::vector<StatementPtr> statements);

 private:
  struct Place {
    Symbols* symbols;
    Function* function;
    bool is_toplevel = false;
    bool is_soft = false;  // within a condition, where an unknown filter may stand
    bool is_in_loop = false;
  };

  // First pass over a scope: what it reads and writes, in order.
  void visit(Symbols& symbols, const Expression* expression, bool as_parameter = false);
  void visit(Symbols& symbols, const Call& call);
  void visit(Symbols& symbols, const Statement& statement);
  void visit(Symbols& symbols, const std::vector<StatementPtr>& body);
  void visit_if(Symbols& symbols, const Statement& statement);
  void visit_target(Symbols& symbols, const Expression& target, bool as_parameter);

  // Second pass: references.
  void bind(const Place& place, Expression* expression);
  void bind(const Place& place, Call& call);
  void bind(const Place& place, const std::vector<StatementPtr>& body);
  void bind(const Place& place, Statement& statement);
  void bind_if(const Place& place, Statement& statement);
  void bind_for(const Place& place, Statement& statement);
  void bind_loop_test(const Place& place, Statement& statement);
  void bind_with(const Place& place, Statement& statement);
  void bind_inner(const Place& place, Statement& statement);
  void bind_macro(const Place& place, MacroNode& macro);
  void bind_block(Body& body);
  void collect_blocks(Program& program, const std::vector<StatementPtr>& body);

  Run& run_;
};

// The names among `names` that the body reads before it stores them.
std::set<std::string> undeclared(const std::vector<StatementPtr>& body,
                                 std::set<std::string> names);

}  // namespace whit::jinja
