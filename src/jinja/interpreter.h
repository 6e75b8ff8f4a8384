#pragma once

#include <ctime>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "jinja/ast.h"
#include "jinja/object.h"
#include "jinja/run.h"

namespace whit::jinja {

// The variables of one activation of a body (template, macro, block, recursive loop), and the
// activation around it.
struct Frame {
  std::vector<Value> slots;
  std::shared_ptr<Frame> outer;
  bool is_held = false;
  Charge charge;
};

enum class Flow { kNext, kBreak, kContinue };

// Evaluates one template once.
class Interpreter : public Run {
 public:
  Interpreter(const Program& program, const Limits& limits, const Dict& variables,
              std::optional<std::tm> now);
  ~Interpreter();

  std::string render();

  class Nested;  // nested.h
  // One evaluation within another, as long as what it gives lives.
  Nested deeper();

  // For filters, methods and globals.
  Value call(const Value& function, Arguments arguments);
  Value call_filter(std::string_view name, Arguments arguments);  // the value comes first
  bool call_test(std::string_view name, Arguments arguments);
  bool autoescape() const { return autoescape_; }
  std::tm now() const;
  // Keeps what may lie in a cycle alive until the end, where the cycle is cut.
  void hold(std::shared_ptr<Object> object) { held_objects_.push_back(std::move(object)); }

  // For macros, blocks and loops.
  std::string run_body(const Body& body, const std::shared_ptr<Frame>& outer,
                       const std::vector<std::pair<int, Value>>& arguments,
                       const Dict* overlay = nullptr);
  std::string call_macro(const MacroNode& macro, const std::shared_ptr<Frame>& outer,
                         Arguments arguments);
  std::string run_macro_body(const MacroNode& macro, const std::shared_ptr<Frame>& outer,
                             const std::vector<std::pair<int, Value>>& values);
  std::string run_recursive_loop(const Statement& loop, const std::shared_ptr<Frame>& outer,
                                 const Value& items, int depth);
  std::string run_block(const std::string& name, const Dict* overlay);
  bool has_block(std::string_view name) const;

  // Items of a loop that pass its test; `target` is set in `frame`.
  bool passes_test(const Statement& loop, const std::shared_ptr<Frame>& frame, const Value& item);
  std::shared_ptr<Frame> enter_test(const Statement& loop, const std::shared_ptr<Frame>& outer);

 private:
  class Output;

  Value evaluate(const Expression& expression);
  Value evaluate_name(const Expression& expression);
  Value evaluate_container(const Expression& expression);
  Value evaluate_compare(const Expression& expression);
  Value evaluate_concat(const Expression& expression);
  Value evaluate_call(const Expression& expression);
  Value evaluate_filter(const Expression& expression);
  Value evaluate_operator(const Expression& expression);
  Value evaluate_subscript(const Expression& expression);
  Arguments evaluate_arguments(const Call& call);

  Flow execute(const std::vector<StatementPtr>& body);
  Flow execute(const Statement& statement);
  Flow execute_if(const Statement& statement);
  Flow execute_for(const Statement& statement);
  Flow loop_over(const Statement& statement, const Value& items, int depth);
  Flow execute_scoped(const Statement& statement);
  void execute_output(const Statement& statement);
  void execute_set(const Statement& statement);
  Flow execute_set_block(const Statement& statement);
  void execute_call_block(const Statement& statement);
  Flow execute_filter_block(const Statement& statement);
  void execute_block(const Statement& statement);
  Value make_macro(const MacroNode& macro);

  void assign(const Expression& target, Value value);
  void export_names(const Expression& target);
  std::shared_ptr<Frame> make_frame(int slots, std::shared_ptr<Frame> outer);
  void unpack(const Expression& target, const Value& value);
  void enter(const Scope& scope);
  void leave(const Scope& scope);
  Value& slot(const Reference& reference);
  Value resolve(const std::string& name) const;
  void write(std::string_view text);
  void write(const Value& value);
  void hold_frame(const std::shared_ptr<Frame>& frame);

  const Program& program_;
  const Dict& variables_;
  Dict context_;  // what the template's top level has set, for blocks
  const Dict* overlay_ = nullptr;
  mutable std::optional<std::tm> now_;
  std::shared_ptr<Frame> frame_;
  std::string* output_ = nullptr;
  std::size_t written_ = 0;  // bytes in all outputs that are open
  Value block_text_;         // what a filter without an operand filters
  bool autoescape_ = false;
  int depth_ = 0;
  int calls_ = 0;
  std::vector<std::shared_ptr<Frame>> held_frames_;
  std::vector<std::shared_ptr<Object>> held_objects_;
};

}  // namespace whit::jinja
