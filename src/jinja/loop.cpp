#include "jinja/loop.h"

#include "jinja/builtins.h"
#include "jinja/operations.h"

namespace whit::jinja {

namespace {

Value loop_cycle(Interpreter& interpreter, Bound& bound) {
  return bound[0].object_as<LoopContext>()->cycle(interpreter, bound.rest.positional);
}

Value loop_changed(Interpreter& interpreter, Bound& bound) {
  return Value(
      bound[0].object_as<LoopContext>()->changed(interpreter, std::move(bound.rest.positional)));
}

constexpr Callable kCycle{"cycle", "/self,*", loop_cycle};
constexpr Callable kChanged{"changed", "/self,*", loop_changed};

}  // namespace

Value LoopContext::next(Interpreter& interpreter) {
  Value value = peek(interpreter);
  if (is_exhausted_) return {};
  after_ = {};
  ++index0_;
  before_ = std::move(current_);
  current_ = value;
  return value;
}

const Value& LoopContext::peek(Interpreter& interpreter) {
  if (after_.is_missing() && !is_exhausted_) {
    after_ = iterator_->next(interpreter);
    is_exhausted_ = after_.is_missing();
  }
  return after_;
}

std::optional<std::int64_t> LoopContext::length(Interpreter& interpreter) {
  if (length_) return length_;
  if (!sized_.is_missing()) length_ = length_of(interpreter, sized_);
  if (length_) return length_;
  const auto rest = to_items(interpreter, Value(std::shared_ptr<Object>(iterator_)));
  iterator_ = iterate(interpreter, interpreter.list(rest));
  length_ = static_cast<std::int64_t>(rest.size()) + index0_ + 1 +
            static_cast<std::int64_t>(!after_.is_missing());
  return length_;
}

std::string LoopContext::repr(Interpreter& interpreter) const {
  const auto size = const_cast<LoopContext*>(this)->length(interpreter);
  return fmt::format("<LoopContext {}/{}>", index0_ + 1, size.value_or(0));
}

Value LoopContext::attribute(Interpreter& interpreter, std::string_view name) {
  if (name == "index") return Value(index0_ + 1);
  if (name == "index0") return Value(index0_);
  if (name == "first") return Value(index0_ == 0);
  if (name == "last") return Value(peek(interpreter).is_missing());
  if (name == "length") return Value(*length(interpreter));
  if (name == "revindex") return Value(*length(interpreter) - index0_);
  if (name == "revindex0") return Value(*length(interpreter) - index0_ - 1);
  if (name == "depth") return Value(depth0_ + 1);
  if (name == "depth0") return Value(depth0_);
  if (name == "previtem")
    return index0_ == 0 ? Value::undefined("there is no previous item") : before_;
  if (name == "nextitem") {
    const Value& following = peek(interpreter);
    return following.is_missing() ? Value::undefined("there is no next item") : following;
  }
  if (name == "cycle") return make_function(interpreter, kCycle, Value(shared_from_this()));
  if (name == "changed") return make_function(interpreter, kChanged, Value(shared_from_this()));
  return {};
}

Value LoopContext::cycle(Interpreter& interpreter, const std::vector<Value>& items) const {
  if (items.empty()) interpreter.fail("no items for cycling given");
  return items[static_cast<std::size_t>(index0_) % items.size()];
}

bool LoopContext::changed(Interpreter& interpreter, std::vector<Value> values) {
  Value now = interpreter.tuple(std::move(values));
  if (last_changed_ && equal(interpreter, *last_changed_, now)) return false;
  last_changed_ = std::move(now);
  return true;
}

Value LoopContext::call(Interpreter& interpreter, Arguments arguments) {
  if (!statement_->is_recursive)
    interpreter.fail("The loop must have the 'recursive' marker to be called recursively.");
  if (arguments.positional.size() != 1 || !arguments.named.empty())
    interpreter.fail("loop() with {} arguments; expected one, what to iterate",
                     arguments.positional.size());
  return interpreter.text(
      interpreter.run_recursive_loop(*statement_, outer_, arguments.positional[0], depth0_ + 1),
      interpreter.autoescape());
}

void LoopContext::drop() {
  iterator_.reset();
  outer_.reset();
  sized_ = before_ = current_ = after_ = {};
  last_changed_.reset();
}

Value TestedItems::next(Interpreter& interpreter) {
  while (true) {
    Value item = source_->next(interpreter);
    if (item.is_missing() || interpreter.passes_test(statement_, frame_, item)) return item;
  }
}

std::string Macro::repr(Interpreter&) const {
  return node_.is_named ? fmt::format("<Macro {}>", in_quotes(node_.name)) : "<Macro anonymous>";
}

Value Macro::call(Interpreter& interpreter, Arguments arguments) {
  return interpreter.text(interpreter.call_macro(node_, outer_, std::move(arguments)),
                          interpreter.autoescape());
}

Value Macro::attribute(Interpreter& interpreter, std::string_view name) {
  if (name == "name") return node_.is_named ? interpreter.text(node_.name) : Value(None{});
  if (name == "catch_kwargs") return Value(node_.takes_named);
  if (name == "catch_varargs") return Value(node_.takes_positional);
  if (name == "caller") return Value(node_.takes_caller);
  if (name == "explicit_caller") return Value(node_.has_explicit_caller);
  if (name != "arguments") return {};
  std::vector<Value> names;
  for (const auto& parameter : node_.parameters) names.push_back(interpreter.text(parameter->name));
  return interpreter.tuple(std::move(names));
}

Value BlockTable::attribute(Interpreter& interpreter, std::string_view name) {
  if (!interpreter.has_block(name)) return {};
  return interpreter.object(std::make_shared<BlockFunction>(std::string(name)));
}

Value BlockFunction::call(Interpreter& interpreter, Arguments arguments) {
  if (!arguments.positional.empty() || !arguments.named.empty())
    interpreter.fail("a block called with arguments; expected none");
  return interpreter.text(interpreter.run_block(name_, nullptr), interpreter.autoescape());
}

}  // namespace whit::jinja
