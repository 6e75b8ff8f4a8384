#include "pickle/machine.h"

#include <algorithm>

#include "base/error.h"
#include "pickle/opcodes.h"

namespace whit::pickle {

using base::ErrorKind;
using base::fail;

namespace {

constexpr std::int64_t kSmallIntegers = 1024;  // made once and shared
constexpr std::size_t kMaxName = 256;          // bytes of a name that are kept

}  // namespace

Machine::Machine(std::string_view bytes, const Policy& policy, const std::string& subject)
    : policy_(policy), small_integers_(kSmallIntegers) {
  out_.subject_ = subject;
  out_.bytes_ = bytes;
}

void Machine::refuse(std::string_view found, std::string_view expected) const {
  fail(ErrorKind::kInput, out_.subject_, "{} at byte {}: {}; expected {}", op_name(op_), op_at_,
       found, expected);
}

ValueId Machine::add(Value value) {
  if (out_.values_.size() >= UINT32_MAX) refuse("more than 2^32 values", "fewer");
  out_.values_.push_back(value);
  return static_cast<ValueId>(out_.values_.size() - 1);
}

void Machine::push_integer(std::int64_t value) {
  if (value < 0 || value >= kSmallIntegers) {
    return push(Kind::kInteger, static_cast<std::uint64_t>(value));
  }
  auto& known = small_integers_[static_cast<std::size_t>(value)];
  if (!known) known = add({Kind::kInteger, 0, static_cast<std::uint64_t>(value)});
  push(*known);
}

void Machine::push_list(Kind kind, std::vector<ValueId> items) {
  out_.lists_.push_back(std::move(items));
  push(kind, out_.lists_.size() - 1);
}

void Machine::push_global(std::string_view module, std::string_view name) {
  std::string global = fmt::format("{} {}", module.substr(0, kMaxName), name.substr(0, kMaxName));
  const auto& allowed = policy_.globals;
  if (std::find(allowed.begin(), allowed.end(), global) == allowed.end()) {
    refuse(fmt::format("the global {:?}, which is none of data", global),
           "one of the names that data consist of (nothing was run)");
  }
  out_.globals_.push_back(std::move(global));
  push(Kind::kGlobal, out_.globals_.size() - 1);
}

void Machine::push_object(bool named_arguments) {
  if (named_arguments) {
    const ValueId named = pop();
    if (out_.kind(named) != Kind::kDict || !out_.entries(named).empty()) {
      refuse("named arguments", "none");
    }
  }
  const auto parts = pop_many(2);
  const ValueId callable = parts[0], arguments = parts[1];
  if (out_.kind(callable) != Kind::kObject && out_.kind(callable) != Kind::kGlobal) {
    refuse(fmt::format("calls {}", name_of(out_.kind(callable))), "a global");
  }
  if (out_.kind(arguments) != Kind::kTuple) {
    refuse(fmt::format("arguments are {}", name_of(out_.kind(arguments))), "a tuple");
  }
  out_.objects_.push_back({callable, arguments, std::nullopt, {}, {}});
  push(Kind::kObject, out_.objects_.size() - 1);
}

void Machine::push_persistent() {
  if (!policy_.persistent_ids) refuse("a persistent reference", "none in this kind of file");
  const ValueId name = pop();
  push(Kind::kPersistent, name);
}

void Machine::need(std::size_t count) const {
  const std::size_t floor = marks_.empty() ? 0 : marks_.back();
  if (stack_.size() - floor < count) refuse("too few values before it", "more");
}

ValueId Machine::pop() {
  const ValueId id = top();
  stack_.pop_back();
  return id;
}

ValueId Machine::top() const {
  need(1);
  return stack_.back();
}

std::vector<ValueId> Machine::pop_many(std::size_t count) {
  need(count);
  const auto begin = stack_.end() - static_cast<std::ptrdiff_t>(count);
  std::vector<ValueId> items(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  return items;
}

std::vector<ValueId> Machine::pop_to_mark() {
  if (marks_.empty()) refuse("no mark before it", "one");
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<ValueId> items(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return items;
}

void Machine::pop_or_unmark() {
  if (!marks_.empty() && marks_.back() == stack_.size()) {
    marks_.pop_back();
  } else {
    pop();
  }
}

void Machine::append(Kind kind, const std::vector<ValueId>& items) {
  const Value& value = out_.values_[top()];
  std::vector<ValueId>* into = nullptr;
  if (value.kind == kind) into = &out_.lists_[value.payload];
  if (value.kind == Kind::kObject) {
    Object& object = out_.objects_[value.payload];
    into = kind == Kind::kDict ? &object.entries : &object.items;
  }
  if (into == nullptr) refuse(fmt::format("onto {}", name_of(value.kind)), name_of(kind));
  into->insert(into->end(), items.begin(), items.end());
}

std::vector<ValueId> Machine::check_pairs(std::vector<ValueId> items) const {
  if (items.size() % 2 != 0) refuse("a key without a value", "pairs");
  return items;
}

void Machine::build() {
  const ValueId state = pop();
  const ValueId target = top();
  if (out_.kind(target) != Kind::kObject) {
    refuse(fmt::format("sets a state on {}", name_of(out_.kind(target))), "an object");
  }
  Object& object = out_.objects_[out_.values_[target].payload];
  if (object.state) refuse("sets a second state", "one");
  object.state = state;
}

void Machine::get(std::uint64_t key) {
  const auto found = memo_.find(key);
  if (found == memo_.end()) refuse(fmt::format("nothing is remembered as {}", key), "a value");
  push(found->second);
}

std::string_view Machine::text_of(ValueId id) const {
  if (out_.kind(id) != Kind::kText) {
    refuse(fmt::format("{} as a name", name_of(out_.kind(id))), "a text");
  }
  return out_.text(id);
}

Document Machine::finish(std::size_t end) {
  out_.root_ = pop();
  out_.end_ = end;
  return std::move(out_);
}

}  // namespace whit::pickle
