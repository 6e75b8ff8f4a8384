#include "jinja/interpreter.h"

#include "jinja/builtins.h"
#include "jinja/loop.h"
#include "jinja/nested.h"
#include "jinja/operations.h"

namespace whit::jinja {

Interpreter::Interpreter(const Program& program, const Limits& limits, const Dict& variables,
                         std::optional<std::tm> now)
    : Run(limits, program.subject), program_(program), variables_(variables), now_(now) {}

Interpreter::~Interpreter() {
  // Macros and the frames around them, namespaces and loops may lie in cycles.
  for (auto& frame : held_frames_) frame->slots.clear();
  for (auto& object : held_objects_) object->drop();
}

Interpreter::Nested Interpreter::deeper() {
  return {*this, &Interpreter::depth_, limits().depth, "evaluations"};
}

std::tm Interpreter::now() const {
  if (!now_) {
    const std::time_t seconds = std::time(nullptr);
    now_.emplace();
    ::localtime_r(&seconds, &*now_);
  }
  return *now_;
}

std::string Interpreter::render() {
  return run_body(program_.root, nullptr, {});
}

std::shared_ptr<Frame> Interpreter::make_frame(int slots, std::shared_ptr<Frame> outer) {
  auto frame = std::make_shared<Frame>();
  frame->charge = charge(static_cast<std::size_t>(slots) * sizeof(Value));
  frame->slots.resize(static_cast<std::size_t>(slots));
  frame->outer = std::move(outer);
  return frame;
}

void Interpreter::hold_frame(const std::shared_ptr<Frame>& frame) {
  if (std::exchange(frame->is_held, true)) return;
  held_frames_.push_back(frame);
}

Value& Interpreter::slot(const Reference& reference) {
  Frame* frame = frame_.get();
  for (int k = 0; k < reference.hops; ++k) frame = frame->outer.get();
  return frame->slots[static_cast<std::size_t>(reference.slot)];
}

Value Interpreter::resolve(const std::string& name) const {
  for (const Dict* names : {overlay_, &context_, &variables_})
    if (names != nullptr)
      if (const Value* value = names->find(name)) return *value;
  const Callable* function = find_global(name);
  return function == nullptr ? Value() : make_function(const_cast<Interpreter&>(*this), *function);
}

void Interpreter::enter(const Scope& scope) {
  for (const Load& load : scope.loads) {
    Value& value = frame_->slots[static_cast<std::size_t>(load.slot)];
    switch (load.from) {
      case Load::From::kParameter:
        break;
      case Load::From::kContext:
        value = resolve(load.name);
        break;
      case Load::From::kOuter:
        value = Value(slot(load.outer));
        break;
      case Load::From::kNothing:
        value = {};
        break;
    }
  }
}

void Interpreter::leave(const Scope& scope) {
  for (const Load& load : scope.loads) frame_->slots[static_cast<std::size_t>(load.slot)] = {};
}

void Interpreter::write(std::string_view text) {
  if (written_ + text.size() > limits().output_bytes)
    fail("the rendering is longer than {} bytes; expected no more", limits().output_bytes);
  written_ += text.size();
  work(text.size());
  output_->append(text);
}

void Interpreter::write(const Value& value) {
  if (value.is_undefined()) return;
  if (autoescape_)
    write(std::string_view(escape(*this, value)));
  else if (value.is_text())
    write(std::string_view(value.bytes()));
  else
    write(std::string_view(to_str(*this, value)));
}

std::string Interpreter::run_body(const Body& body, const std::shared_ptr<Frame>& outer,
                                  const std::vector<std::pair<int, Value>>& arguments,
                                  const Dict* overlay) {
  const Nested nested(*this, &Interpreter::calls_, limits().calls, "calls");
  Output output(*this);
  const auto frame = make_frame(body.slots, outer);
  for (const auto& [slot_number, value] : arguments)
    frame->slots[static_cast<std::size_t>(slot_number)] = value;
  const auto caller = std::exchange(frame_, frame);
  const auto* caller_overlay = std::exchange(overlay_, overlay);
  if (body.self_slot >= 0)
    frame->slots[static_cast<std::size_t>(body.self_slot)] = object(std::make_shared<BlockTable>());
  if (body.super_slot >= 0)
    frame->slots[static_cast<std::size_t>(body.super_slot)] =
        Value::undefined("there is no parent block; expected a template that extends another");
  enter(body.scope);
  execute(body.statements);
  frame_ = caller;
  overlay_ = caller_overlay;
  return output.take();
}

bool Interpreter::has_block(std::string_view name) const {
  return program_.blocks.find(name) != program_.blocks.end();
}

std::string Interpreter::run_block(const std::string& name, const Dict* overlay) {
  const Block& block = *program_.blocks.find(name)->second;
  if (block.is_required) fail("Required block '{}' not found", name);
  return run_body(block.body, nullptr, {}, overlay);
}

std::string Interpreter::run_recursive_loop(const Statement& loop,
                                            const std::shared_ptr<Frame>& outer, const Value& items,
                                            int depth) {
  const Nested nested(*this, &Interpreter::calls_, limits().calls, "calls");
  Output output(*this);
  const auto frame = make_frame(loop.function_slots, outer);
  const auto caller = std::exchange(frame_, frame);
  loop_over(loop, items, depth);
  frame_ = caller;
  return output.take();
}

std::shared_ptr<Frame> Interpreter::enter_test(const Statement& loop,
                                               const std::shared_ptr<Frame>& outer) {
  const auto frame = make_frame(loop.test_slots, outer);
  const auto caller = std::exchange(frame_, frame);
  enter(loop.test_scope);
  frame_ = caller;
  return frame;
}

bool Interpreter::passes_test(const Statement& loop, const std::shared_ptr<Frame>& frame,
                              const Value& item) {
  const auto caller = std::exchange(frame_, frame);
  assign(*loop.test_target, item);
  const bool passes = is_truthy(*this, evaluate(*loop.test));
  frame_ = caller;
  return passes;
}

Value Interpreter::make_macro(const MacroNode& macro) {
  hold_frame(frame_);
  return object(std::make_shared<Macro>(macro, frame_));
}

namespace {

// The parameters that were not given by place, by name.
void take_named(Arguments& arguments, const MacroNode& macro, std::vector<Value>& values,
                bool& found_caller) {
  for (std::size_t k = values.size(); k < macro.parameters.size(); ++k) {
    const std::string& name = macro.parameters[k]->name;
    values.push_back(arguments.take(name));
    found_caller = found_caller || name == "caller";
  }
}

}  // namespace

std::string Interpreter::call_macro(const MacroNode& macro, const std::shared_ptr<Frame>& outer,
                                    Arguments arguments) {
  const std::string_view name = macro.is_named ? std::string_view(macro.name) : "None";
  const std::size_t count = macro.parameters.size();
  auto& positional = arguments.positional;
  std::vector<Value> values(
      positional.begin(),
      positional.begin() + static_cast<std::ptrdiff_t>(std::min(count, positional.size())));
  bool found_caller = values.size() == count && macro.has_explicit_caller;
  take_named(arguments, macro, values, found_caller);
  std::vector<std::pair<int, Value>> slots;
  for (std::size_t k = 0; k < count; ++k)
    slots.emplace_back(macro.parameters[k]->reference.slot, values[k]);
  if (macro.takes_caller && !found_caller) {
    Value caller = arguments.take("caller");
    const bool is_given = !caller.is_missing() && !caller.is_none();
    slots.emplace_back(macro.caller_slot,
                       is_given ? caller : Value::undefined("No caller defined"));
  }
  if (macro.takes_named) {
    Dict named;
    for (auto& [key, value] : arguments.named) named.set(text(key), value);
    slots.emplace_back(macro.named_slot, dict(std::move(named)));
  } else if (!arguments.named.empty()) {
    fail("macro '{}' takes no keyword argument '{}'", name, arguments.named[0].first);
  }
  std::vector<Value> more;
  if (positional.size() > count)
    more.assign(positional.begin() + static_cast<std::ptrdiff_t>(count), positional.end());
  if (macro.takes_positional)
    slots.emplace_back(macro.positional_slot, tuple(std::move(more)));
  else if (!more.empty())
    fail("macro '{}' takes not more than {} argument(s)", name, count);
  return run_macro_body(macro, outer, slots);
}

std::string Interpreter::run_macro_body(const MacroNode& macro, const std::shared_ptr<Frame>& outer,
                                        const std::vector<std::pair<int, Value>>& values) {
  const Nested nested(*this, &Interpreter::calls_, limits().calls, "calls");
  Output output(*this);
  const auto frame = make_frame(macro.body.slots, outer);
  for (const auto& [number, value] : values) frame->slots[static_cast<std::size_t>(number)] = value;
  const auto caller = std::exchange(frame_, frame);
  enter(macro.body.scope);
  const std::size_t count = macro.parameters.size();
  for (std::size_t k = 0; k < count; ++k) {
    const Expression& parameter = *macro.parameters[k];
    if (!slot(parameter.reference).is_missing()) continue;
    const std::size_t without = count - macro.defaults.size();
    Value value =
        k < without
            ? Value::undefined(fmt::format("parameter '{}' was not provided", parameter.name))
            : evaluate(*macro.defaults[k - without]);
    slot(parameter.reference) = std::move(value);
  }
  execute(macro.body.statements);
  frame_ = caller;
  return output.take();
}

}  // namespace whit::jinja
