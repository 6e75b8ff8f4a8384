#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "jinja/ast.h"
#include "jinja/run.h"

namespace whit::jinja {

// The slots of one body while it is resolved. Scopes of the same level share a slot per name, as
// the Python function that jinja2 compiles to shares a variable.
struct Function {
  Function* outer = nullptr;
  std::map<std::pair<int, std::string>, int> slots;
};

// What a scope knows of each name: jinja2's idtracking. Which variable a name means is decided
// before anything runs, by where in the scope it is first read or written.
class Symbols {
 public:
  Symbols(Function& function, const Symbols* parent)
      : function_(&function), parent_(parent), level_(parent == nullptr ? 0 : parent->level_ + 1) {}

  // The visits of a scope, in the order of the text.
  void load(const std::string& name);
  void store(const std::string& name);
  int declare_parameter(const std::string& name);
  // Three copies of these symbols that have visited the branches of an `if`.
  void merge_branches(const std::vector<Symbols>& branches);

  bool knows(const std::string& name) const { return find(name).first != nullptr; }
  // From a body of `function`. The name must be known.
  Reference reference(const std::string& name, const Function& function) const;
  Scope scope() const;
  // Every name that a scope from here outward stores.
  std::set<std::string> all_stores() const;
  std::size_t size() const { return references_.size(); }
  const Function& function() const { return *function_; }

 private:
  std::pair<const Symbols*, int> find(const std::string& name) const;
  int define(const std::string& name, Load load);

  Function* function_;
  const Symbols* parent_;
  int level_;
  std::map<std::string, int> references_;  // name -> slot of function_
  std::map<int, Load> loads_;
  std::set<std::string> stores_;
};

}  // namespace whit::jinja
