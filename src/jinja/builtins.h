#pragma once

#include <string_view>
#include <vector>

#include "jinja/object.h"

namespace whit::jinja {

// The arguments of a built-in function, by its parameters; Missing where one was left out.
struct Bound {
  std::vector<Value> values;
  Arguments rest;  // of functions with * and **

  const Value& operator[](std::size_t k) const { return values[k]; }
  bool has(std::size_t k) const { return !values[k].is_missing(); }
};

// A filter, test, method or global function. `parameters` are names in Python's manner:
// "a,b=,*,**", where = means that it may be left out; a leading / means that none may be given by
// name.
struct Callable {
  std::string_view name;
  std::string_view parameters;
  Value (*function)(Interpreter&, Bound&);
};

// Null where there is none. Filters and tests take their value first, methods their object.
const Callable* find_filter(std::string_view name);
const Callable* find_test(std::string_view name);
const Callable* find_global(std::string_view name);
const Callable* find_method(const Value& value, std::string_view name);

// Whether the sandbox keeps the method from templates because it changes the object.
bool is_mutating_method(const Value& value, std::string_view name);

Value invoke(Interpreter& interpreter, const Callable& callable, Arguments arguments);

// A built-in function as a value, bound to `self` where it is a method.
Value make_function(Interpreter& interpreter, const Callable& callable, Value self = {});

}  // namespace whit::jinja
