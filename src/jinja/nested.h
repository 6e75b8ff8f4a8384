#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "jinja/interpreter.h"

namespace whit::jinja {

// Counts what runs within itself, so that neither a template nor its macros exhaust the stack.
class Interpreter::Nested {
 public:
  Nested(Interpreter& interpreter, int Interpreter::*counter, int most, std::string_view what)
      : interpreter_(interpreter), counter_(counter) {
    if (interpreter_.*counter_ >= most)
      interpreter_.fail("more than {} {} within each other; expected a template that recurses less",
                        most, what);
    ++(interpreter_.*counter_);
  }
  ~Nested() { --(interpreter_.*counter_); }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

 private:
  Interpreter& interpreter_;
  int Interpreter::*counter_;
};

// Collects what is written while it lives.
class Interpreter::Output {
 public:
  explicit Output(Interpreter& interpreter)
      : interpreter_(interpreter), outer_(std::exchange(interpreter.output_, &text_)) {}
  ~Output() {
    interpreter_.output_ = outer_;
    interpreter_.written_ -= text_.size();
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  std::string take() {
    interpreter_.written_ -= text_.size();
    return std::exchange(text_, {});
  }

 private:
  Interpreter& interpreter_;
  std::string* outer_;
  std::string text_;
};

}  // namespace whit::jinja
