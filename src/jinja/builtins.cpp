#include "jinja/builtins.h"

#include <algorithm>

#include "jinja/interpreter.h"
#include "jinja/operations.h"

namespace whit::jinja {

namespace {

struct Parameter {
  std::string_view name;
  bool is_optional = false;
};

struct Signature {
  std::vector<Parameter> parameters;
  bool by_place_only = false, more_positional = false, more_named = false;
};

Signature parse_signature(std::string_view text) {
  Signature signature;
  if (!text.empty() && text[0] == '/') {
    signature.by_place_only = true;
    text.remove_prefix(1);
  }
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    std::string_view word = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (word == "*") {
      signature.more_positional = true;
    } else if (word == "**") {
      signature.more_named = true;
    } else {
      const bool is_optional = word.ends_with('=');
      if (is_optional) word.remove_suffix(1);
      signature.parameters.push_back({word, is_optional});
    }
  }
  return signature;
}

void bind_named(Interpreter& interpreter, const Callable& callable, const Signature& signature,
                Arguments& arguments, Bound& bound) {
  for (auto& [name, value] : arguments.named) {
    const auto found =
        std::find_if(signature.parameters.begin(), signature.parameters.end(),
                     [&name = name](const Parameter& parameter) { return parameter.name == name; });
    if (found == signature.parameters.end() || signature.by_place_only) {
      if (!signature.more_named)
        interpreter.fail("{}() got an unexpected keyword argument '{}'", callable.name, name);
      bound.rest.named.emplace_back(name, std::move(value));
      continue;
    }
    Value& place = bound.values[static_cast<std::size_t>(found - signature.parameters.begin())];
    if (!place.is_missing())
      interpreter.fail("{}() got multiple values for argument '{}'", callable.name, name);
    place = std::move(value);
  }
}

class Function final : public Object {
 public:
  Function(const Callable& callable, Value self) : callable_(callable), self_(std::move(self)) {}
  std::string_view type_name() const override { return "builtin_function_or_method"; }
  bool is_callable() const override { return true; }
  int depth() const override { return self_.depth() + 1; }
  std::string repr(Interpreter&) const override {
    return fmt::format("<built-in function {}>", callable_.name);
  }
  Value call(Interpreter& interpreter, Arguments arguments) override {
    if (!self_.is_missing()) arguments.positional.insert(arguments.positional.begin(), self_);
    return invoke(interpreter, callable_, std::move(arguments));
  }

 private:
  const Callable& callable_;
  const Value self_;
};

}  // namespace

Value invoke(Interpreter& interpreter, const Callable& callable, Arguments arguments) {
  interpreter.step();
  const Signature signature = parse_signature(callable.parameters);
  Bound bound;
  bound.values.resize(signature.parameters.size());
  auto& positional = arguments.positional;
  const std::size_t placed = std::min(positional.size(), bound.values.size());
  std::move(positional.begin(), positional.begin() + static_cast<std::ptrdiff_t>(placed),
            bound.values.begin());
  if (positional.size() > placed) {
    if (!signature.more_positional)
      interpreter.fail("{}() takes at most {} arguments; found {}", callable.name, placed,
                       positional.size());
    bound.rest.positional.assign(
        std::make_move_iterator(positional.begin() + static_cast<std::ptrdiff_t>(placed)),
        std::make_move_iterator(positional.end()));
  }
  bind_named(interpreter, callable, signature, arguments, bound);
  for (std::size_t k = 0; k < bound.values.size(); ++k)
    if (bound.values[k].is_missing() && !signature.parameters[k].is_optional)
      interpreter.fail("{}() missing a required argument: '{}'", callable.name,
                       signature.parameters[k].name);
  return callable.function(interpreter, bound);
}

Value make_function(Interpreter& interpreter, const Callable& callable, Value self) {
  return interpreter.object(std::make_shared<Function>(callable, std::move(self)));
}

}  // namespace whit::jinja
