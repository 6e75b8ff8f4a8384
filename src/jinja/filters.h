#pragma once

#include <span>
#include <vector>

#include "jinja/builtins.h"

namespace whit::jinja {

// The filters of one file each.
std::span<const Callable> text_filters();
std::span<const Callable> value_filters();
std::span<const Callable> sequence_filters();
std::span<const Callable> selecting_filters();

// Looks up "a.b.0" in an item, as jinja2's filters take their `attribute`.
class AttributePath {
 public:
  AttributePath(Interpreter& interpreter, const Value& attribute);
  // What is undefined on the way becomes `otherwise`, unless that is Missing or None.
  Value get(Interpreter& interpreter, Value item, const Value& otherwise = {}) const;

 private:
  std::vector<Value> parts_;
};

// Texts in lower case, for comparisons that do not see case.
Value without_case(Interpreter& interpreter, const Value& value);

// A generator whose items `make` gives when the first is asked for: what it raises comes then.
Value deferred(Interpreter& interpreter, Bound& bound,
               std::vector<Value> (*make)(Interpreter&, Bound&));

bool flag(Interpreter& interpreter, const Bound& bound, std::size_t k, bool otherwise);

}  // namespace whit::jinja
