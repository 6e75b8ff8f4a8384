#include "jinja/symbols.h"

namespace whit::jinja {

namespace {

Reference reference_from(const Function& from, const Function& to, int slot) {
  Reference reference{0, slot};
  for (const Function* function = &from; function != &to; function = function->outer)
    ++reference.hops;
  return reference;
}

}  // namespace

std::pair<const Symbols*, int> Symbols::find(const std::string& name) const {
  for (const Symbols* symbols = this; symbols != nullptr; symbols = symbols->parent_)
    if (const auto found = symbols->references_.find(name); found != symbols->references_.end())
      return {symbols, found->second};
  return {nullptr, -1};
}

int Symbols::define(const std::string& name, Load load) {
  const int fresh = static_cast<int>(function_->slots.size());
  const int slot = function_->slots.try_emplace({level_, name}, fresh).first->second;
  references_[name] = slot;
  load.slot = slot;
  load.name = name;
  loads_[slot] = load;
  return slot;
}

void Symbols::load(const std::string& name) {
  if (knows(name)) return;
  Load load;
  load.from = Load::From::kContext;
  define(name, load);
}

void Symbols::store(const std::string& name) {
  stores_.insert(name);
  if (references_.count(name) != 0) return;
  Load load;
  if (parent_ != nullptr && parent_->knows(name)) {
    load.from = Load::From::kOuter;
    load.outer = parent_->reference(name, *function_);
  }
  define(name, load);
}

int Symbols::declare_parameter(const std::string& name) {
  stores_.insert(name);
  Load load;
  load.from = Load::From::kParameter;
  return define(name, load);
}

void Symbols::merge_branches(const std::vector<Symbols>& branches) {
  std::set<std::string> stored;
  for (const auto& branch : branches)
    for (const auto& name : branch.stores_)
      if (stores_.count(name) == 0) stored.insert(name);
  for (const auto& branch : branches) {
    for (const auto& [name, slot] : branch.references_) references_[name] = slot;
    for (const auto& [slot, load] : branch.loads_) loads_[slot] = load;
    stores_.insert(branch.stores_.begin(), branch.stores_.end());
  }
  for (const auto& name : stored) {
    Load& load = loads_[find(name).second];
    if (parent_ != nullptr && parent_->knows(name)) {
      load.from = Load::From::kOuter;
      load.outer = parent_->reference(name, *function_);
    } else {
      load.from = Load::From::kContext;
    }
    load.slot = find(name).second;
    load.name = name;
  }
}

Reference Symbols::reference(const std::string& name, const Function& function) const {
  const auto [symbols, slot] = find(name);
  base::check(symbols != nullptr, "a name of the template is in its scope");
  return reference_from(function, *symbols->function_, slot);
}

Scope Symbols::scope() const {
  Scope scope;
  for (const auto& [slot, load] : loads_) scope.loads.push_back(load);
  return scope;
}

std::set<std::string> Symbols::all_stores() const {
  std::set<std::string> names;
  for (const Symbols* symbols = this; symbols != nullptr; symbols = symbols->parent_)
    names.insert(symbols->stores_.begin(), symbols->stores_.end());
  return names;
}

}  // namespace whit::jinja
