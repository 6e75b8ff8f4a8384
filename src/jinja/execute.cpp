#include <exception>

#include "jinja/interpreter.h"
#include "jinja/loop.h"
#include "jinja/nested.h"
#include "jinja/operations.h"

namespace whit::jinja {

Flow Interpreter::execute(const std::vector<StatementPtr>& body) {
  for (const auto& statement : body) {
    const Flow flow = execute(*statement);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Flow Interpreter::execute(const Statement& statement) {
  step();
  const Nested nested = deeper();
  at_line(statement.line);
  switch (statement.kind) {
    case StatementKind::kOutput:
      execute_output(statement);
      return Flow::kNext;
    case StatementKind::kIf:
      return execute_if(statement);
    case StatementKind::kFor:
      return execute_for(statement);
    case StatementKind::kSet:
      execute_set(statement);
      return Flow::kNext;
    case StatementKind::kSetBlock:
      return execute_set_block(statement);
    case StatementKind::kMacro:
      slot(statement.macro->reference) = make_macro(*statement.macro);
      if (statement.is_toplevel && !program_.blocks.empty())
        context_.set(statement.macro->name, slot(statement.macro->reference));
      return Flow::kNext;
    case StatementKind::kCall:
      execute_call_block(statement);
      return Flow::kNext;
    case StatementKind::kGeneration:
      write(std::string_view(call_macro(*statement.macro, frame_, {})));
      return Flow::kNext;
    case StatementKind::kFilter:
      return execute_filter_block(statement);
    case StatementKind::kWith:
    case StatementKind::kAutoescape:
      return execute_scoped(statement);
    case StatementKind::kBlock:
      execute_block(statement);
      return Flow::kNext;
    case StatementKind::kBreak:
      return Flow::kBreak;
    case StatementKind::kContinue:
      return Flow::kContinue;
    case StatementKind::kLoad:
      break;
  }
  fail("'{}' asks for another template; expected one that stands alone", statement.name);
}

void Interpreter::execute_output(const Statement& statement) {
  for (const auto& expression : statement.expressions) {
    if (expression->kind == ExpressionKind::kConstant && expression->constant.is_text() &&
        !autoescape_)
      write(std::string_view(expression->constant.bytes()));
    else
      write(evaluate(*expression));
  }
}

Flow Interpreter::execute_if(const Statement& statement) {
  if (is_truthy(*this, evaluate(*statement.expression))) return execute(statement.body);
  for (const auto& branch : statement.elifs) {
    step();
    if (is_truthy(*this, evaluate(*branch->expression))) return execute(branch->body);
  }
  return execute(statement.otherwise);
}

Flow Interpreter::execute_for(const Statement& statement) {
  const Value items = evaluate(*statement.expression);
  at_line(statement.line);
  if (!statement.is_recursive) return loop_over(statement, items, 0);
  write(std::string_view(run_recursive_loop(statement, frame_, items, 0)));
  return Flow::kNext;
}

namespace {

// An error leaves the loop in a slot of the frame that the loop itself refers to.
class DroppedOnError {
 public:
  explicit DroppedOnError(const std::shared_ptr<LoopContext>& loop) : loop_(loop) {}
  DroppedOnError(const DroppedOnError&) = delete;
  DroppedOnError& operator=(const DroppedOnError&) = delete;
  ~DroppedOnError() {
    if (loop_ && std::uncaught_exceptions() > errors_before_) loop_->drop();
  }

 private:
  const std::shared_ptr<LoopContext>& loop_;
  const int errors_before_ = std::uncaught_exceptions();
};

}  // namespace

Flow Interpreter::loop_over(const Statement& statement, const Value& items, int depth) {
  const std::shared_ptr<Frame> outer = statement.is_recursive ? frame_->outer : frame_;
  std::shared_ptr<Iterator> iterator = iterate(*this, items);
  if (statement.test)
    iterator =
        std::make_shared<TestedItems>(std::move(iterator), statement, enter_test(statement, outer));
  std::shared_ptr<LoopContext> loop;
  if (statement.loop_reference.is_set())
    loop = std::make_shared<LoopContext>(iterator, statement.test ? Value() : items, statement,
                                         outer, depth);
  const DroppedOnError dropped(loop);
  bool has_finished_one = false;
  while (true) {
    step();
    at_line(statement.line);
    Value item = loop ? loop->next(*this) : iterator->next(*this);
    if (item.is_missing()) break;
    assign(*statement.target, std::move(item));
    if (loop) slot(statement.loop_reference) = Value(std::shared_ptr<Object>(loop));
    enter(statement.scope);
    const Flow flow = execute(statement.body);
    if (flow == Flow::kBreak) break;
    has_finished_one = has_finished_one || flow == Flow::kNext;
  }
  leave(statement.scope);
  // A loop that is kept somewhere may lie in a cycle.
  if (loop && loop.use_count() > 1) hold(loop);
  // jinja2 runs `else` unless one iteration came to the end of the body.
  if (has_finished_one || statement.otherwise.empty()) return Flow::kNext;
  enter(statement.else_scope);
  const Flow flow = execute(statement.otherwise);
  leave(statement.else_scope);
  return flow;
}

void Interpreter::assign(const Expression& target, Value value) {
  if (target.kind == ExpressionKind::kName) {
    slot(target.reference) = std::move(value);
  } else if (target.kind == ExpressionKind::kTuple) {
    unpack(target, value);
  } else {
    auto* space = slot(target.operands[0]->reference).object_as<Namespace>();
    if (space == nullptr) fail("cannot assign attribute on non-namespace object");
    if (target.name.starts_with('_'))
      fail("Chat templates cannot store underscore-prefixed attributes on a namespace, but got {}",
           in_quotes(target.name));
    space->attributes.set(text(target.name), std::move(value));
  }
}

void Interpreter::unpack(const Expression& target, const Value& value) {
  if (!is_iterable(value)) fail("cannot unpack non-iterable {} object", type_name(value));
  const auto iterator = iterate(*this, value);
  const std::size_t wanted = target.operands.size();
  std::vector<Value> items;
  while (items.size() <= wanted) {
    items.push_back(iterator->next(*this));
    if (items.back().is_missing()) break;
  }
  if (items.size() <= wanted)
    fail("not enough values to unpack (expected {}, got {})", wanted, items.size() - 1);
  if (!items.back().is_missing()) fail("too many values to unpack (expected {})", wanted);
  for (std::size_t k = 0; k < wanted; ++k) assign(*target.operands[k], std::move(items[k]));
}

void Interpreter::export_names(const Expression& target) {
  if (target.kind == ExpressionKind::kName) context_.set(target.name, slot(target.reference));
  if (target.kind == ExpressionKind::kTuple)
    for (const auto& part : target.operands) export_names(*part);
}

void Interpreter::execute_set(const Statement& statement) {
  Value value = evaluate(*statement.expression);
  at_line(statement.line);
  assign(*statement.target, std::move(value));
  if (statement.is_toplevel && !program_.blocks.empty()) export_names(*statement.target);
}

Flow Interpreter::execute_set_block(const Statement& statement) {
  Output output(*this);
  enter(statement.scope);
  const Flow flow = execute(statement.body);
  Value value = text(output.take(), autoescape_);
  if (flow == Flow::kNext) {
    if (statement.expression) {
      const Value outer_text = std::exchange(block_text_, value);
      value = evaluate(*statement.expression);
      block_text_ = outer_text;
    }
    at_line(statement.line);
    assign(*statement.target, std::move(value));
    if (statement.is_toplevel && !program_.blocks.empty()) export_names(*statement.target);
  }
  leave(statement.scope);
  return flow;
}

Flow Interpreter::execute_filter_block(const Statement& statement) {
  Value value;
  Flow flow = Flow::kNext;
  {
    Output output(*this);
    enter(statement.scope);
    flow = execute(statement.body);
    const Value outer_text = std::exchange(block_text_, text(output.take(), autoescape_));
    if (flow == Flow::kNext) value = evaluate(*statement.expression);
    block_text_ = outer_text;
    leave(statement.scope);
  }
  if (flow == Flow::kNext) write(value);
  return flow;
}

Flow Interpreter::execute_scoped(const Statement& statement) {
  enter(statement.scope);
  const bool outer_autoescape = autoescape_;
  if (statement.kind == StatementKind::kAutoescape)
    autoescape_ = is_truthy(*this, evaluate(*statement.expression));
  for (std::size_t k = 0; k < statement.targets.size(); ++k)
    assign(*statement.targets[k], evaluate(*statement.expressions[k]));
  const Flow flow = execute(statement.body);
  autoescape_ = outer_autoescape;
  leave(statement.scope);
  return flow;
}

void Interpreter::execute_call_block(const Statement& statement) {
  const Value caller = make_macro(*statement.macro);
  const Expression& expression = *statement.expression;
  const Value function = evaluate(*expression.operands[0]);
  Arguments arguments = evaluate_arguments(*expression.call);
  at_line(expression.line);
  arguments.named.emplace_back("caller", caller);
  write(call(function, std::move(arguments)));
}

void Interpreter::execute_block(const Statement& statement) {
  if (!statement.is_scoped) return write(std::string_view(run_block(statement.name, nullptr)));
  Dict visible = overlay_ != nullptr ? overlay_->copy() : Dict();
  for (const auto& [name, reference] : statement.visible)
    if (!slot(reference).is_missing()) visible.set(name, slot(reference));
  write(std::string_view(run_block(statement.name, &visible)));
}

}  // namespace whit::jinja
