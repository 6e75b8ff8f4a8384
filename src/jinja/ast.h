#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "jinja/value.h"

namespace whit::jinja {

struct Expression;
struct Statement;
struct Callable;  // a filter, test, method or global function: builtins.h
using ExpressionPtr = std::unique_ptr<Expression>;
using StatementPtr = std::unique_ptr<Statement>;

// A variable: so many bodies outward, that slot.
struct Reference {
  int hops = -1;
  int slot = -1;
  bool is_set() const { return slot >= 0; }
};

enum class ExpressionKind {
  kConstant,
  kName,
  kTuple,
  kList,
  kDict,  // key, value, key, value...
  kAttribute,
  kItem,
  kSlice,  // value, start, stop, step
  kCall,
  kFilter,  // without an operand: of what the block wrote
  kTest,
  kUnary,
  kBinary,
  kCompare,
  kAnd,
  kOr,
  kNot,
  kConcat,
  kConditional,     // test, then, else
  kSpaceAttribute,  // the target ns.name
};

struct Call {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr more_positional, more_named;  // *args, **kwargs
};

struct Expression {
  ExpressionKind kind = ExpressionKind::kConstant;
  int line = 1;
  int height = 1;
  Value constant;
  std::string name;     // of the variable, attribute, filter, test, operator
  Reference reference;  // of the variable
  bool is_parameter = false;
  std::vector<ExpressionPtr> operands;
  std::vector<std::string> operators;  // of a comparison
  std::unique_ptr<Call> call;
  const Callable* builtin = nullptr;  // the filter or test of that name, where there is one
};

// How a variable of a scope starts.
struct Load {
  enum class From { kParameter, kContext, kOuter, kNothing };
  int slot = -1;
  From from = From::kNothing;
  Reference outer;
  std::string name;
};

struct Scope {
  std::vector<Load> loads;
};

// What is called: the template, a macro, a block, a loop that recurses, each with its variables.
struct Body {
  std::vector<StatementPtr> statements;
  int slots = 0;
  Scope scope;
  int self_slot = -1, super_slot = -1;
};

struct MacroNode {
  bool is_named = false;
  std::string name;
  int line = 1;
  std::vector<ExpressionPtr> parameters;  // names
  std::vector<ExpressionPtr> defaults;    // of the last ones
  Body body;
  Reference reference;  // where a named one is stored
  bool takes_caller = false, takes_named = false, takes_positional = false;
  bool has_explicit_caller = false;
  int caller_slot = -1, named_slot = -1, positional_slot = -1;
};

enum class StatementKind {
  kOutput,
  kIf,
  kFor,
  kSet,
  kSetBlock,
  kMacro,
  kCall,
  kGeneration,
  kFilter,
  kWith,
  kAutoescape,
  kBlock,
  kBreak,
  kContinue,
  kLoad,  // extends, include, import, from: name says which
};

struct Statement {
  StatementKind kind = StatementKind::kOutput;
  int line = 1;
  std::string name;
  ExpressionPtr target;
  ExpressionPtr expression;                // tested, iterated, assigned, called
  std::vector<ExpressionPtr> targets;      // of with
  std::vector<ExpressionPtr> expressions;  // printed; values of with
  std::vector<StatementPtr> body;
  std::vector<StatementPtr> elifs;
  std::vector<StatementPtr> otherwise;
  bool is_toplevel = false;
  Scope scope, else_scope;

  // Loops.
  ExpressionPtr test, test_target;
  bool is_recursive = false;
  Reference loop_reference;  // set where the body asks for `loop`
  int function_slots = 0;    // of a recursive loop's own frame
  Scope test_scope;
  int test_slots = 0;

  std::unique_ptr<MacroNode> macro;
  bool is_scoped = false, is_required = false;
  std::vector<std::pair<std::string, Reference>> visible;  // to a scoped block
};

struct Block {
  Body body;
  bool is_required = false;
};

// A parsed and resolved template.
struct Program {
  std::string subject;  // for errors
  Body root;
  std::map<std::string, std::unique_ptr<Block>, std::less<>> blocks;
};

}  // namespace whit::jinja
