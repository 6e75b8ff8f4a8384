#include <algorithm>

#include "jinja/builtins.h"
#include "jinja/interpreter.h"
#include "jinja/operations.h"
#include "jinja/utf8.h"

namespace whit::jinja {

Value Arguments::take(std::string_view name) {
  const auto found = std::find_if(named.begin(), named.end(),
                                  [&](const auto& entry) { return entry.first == name; });
  if (found == named.end()) return {};
  Value value = std::move(found->second);
  named.erase(found);
  return value;
}

std::string Object::repr(Interpreter&) const {
  return fmt::format("<{} object>", type_name());
}

Value Object::call(Interpreter& interpreter, Arguments) {
  interpreter.fail("'{}' object is not callable", type_name());
}

std::string Namespace::repr(Interpreter& interpreter) const {
  const auto copy = std::make_shared<const Dict>(attributes.copy());
  return "<Namespace " + to_repr(interpreter, Value(copy)) + ">";
}

Value Namespace::attribute(Interpreter&, std::string_view name) {
  const Value* value = attributes.find(name);
  return value == nullptr ? Value() : *value;
}

namespace {

Value no_attribute(const Value& value, std::string_view name) {
  return Value::undefined(
      fmt::format("{} has no attribute {}", in_quotes(type_description(value)), in_quotes(name)));
}

// The object's own attribute or method; Missing where it has none.
Value own_attribute(Interpreter& interpreter, const Value& value, std::string_view name) {
  if (name.starts_with("__") && name.ends_with("__") && name.size() > 4)
    return Value::undefined(fmt::format("access to attribute {} of {} object is unsafe.",
                                        in_quotes(name), in_quotes(type_name(value))));
  if (value.is(Kind::kObject))
    if (Value own = value.object()->attribute(interpreter, name); !own.is_missing()) return own;
  if (value.is_group() && (name == "grouper" || name == "list"))
    return value.items()[name == "list" ? 1 : 0];
  if (is_mutating_method(value, name))
    return Value::undefined(fmt::format("access to attribute {} of {} object is unsafe.",
                                        in_quotes(name), in_quotes(type_name(value))));
  if (const Callable* method = find_method(value, name))
    return make_function(interpreter, *method, value);
  if (value.is_number() && (name == "real" || name == "numerator"))
    return value.is(Kind::kBool) ? Value(value.integer()) : value;
  if (value.is_number() && name == "imag") return value.is(Kind::kFloat) ? Value(0.0) : Value(0);
  if (value.is_integral() && name == "denominator") return Value(1);
  return {};
}

// value[key] of Python; Missing where it raises TypeError or LookupError.
Value own_item(Interpreter& interpreter, const Value& value, const Value& key) {
  if (value.is(Kind::kDict)) {
    if (key.is(Kind::kList) || key.is(Kind::kDict)) return {};
    expect_hashable(interpreter, key);
    const Value* found = value.dict().find(key);
    return found == nullptr ? Value() : *found;
  }
  auto* range = value.object_as<Range>();
  if (!key.is_integral() || !(value.is_text() || value.is_sequence() || range != nullptr))
    return {};
  const Int size = *length_of(interpreter, value);
  Int index = key.integer();
  if (index < 0) index += size;
  if (index < 0 || index >= size) return {};
  if (range != nullptr) return Value(range->start + index * range->step);
  if (value.is_sequence()) return value.items()[static_cast<std::size_t>(index)];
  const auto& bytes = value.bytes();
  if (!value.text().is_ascii()) interpreter.work(bytes.size());
  std::size_t begin = value.text().is_ascii()
                          ? static_cast<std::size_t>(index)
                          : byte_of_point(bytes, static_cast<std::int64_t>(index));
  std::size_t end = begin;
  next_point(bytes, end);
  return interpreter.text_like(value, bytes.substr(begin, end - begin));
}

}  // namespace

Value get_attribute(Interpreter& interpreter, const Value& value, std::string_view name) {
  if (value.is_undefined()) interpreter.fail("{}", value.undefined_message());
  if (Value own = own_attribute(interpreter, value, name); !own.is_missing()) return own;
  if (value.is(Kind::kDict))
    if (const Value* item = value.dict().find(name)) return *item;
  return no_attribute(value, name);
}

Value get_item(Interpreter& interpreter, const Value& value, const Value& key) {
  if (value.is_undefined()) interpreter.fail("{}", value.undefined_message());
  if (Value item = own_item(interpreter, value, key); !item.is_missing()) return item;
  if (key.is_text()) {
    if (Value own = own_attribute(interpreter, value, key.bytes()); !own.is_missing()) return own;
    return no_attribute(value, key.bytes());
  }
  return Value::undefined(
      fmt::format("{} has no element {}", type_description(value), to_repr(interpreter, key)));
}

namespace {

struct Bounds {
  Int start, stop, step;
};

Int slice_number(Interpreter& interpreter, const Value& value) {
  if (!value.is_integral())
    interpreter.fail("slice indices must be integers or None or have an __index__ method; found {}",
                     type_name(value));
  return value.integer();
}

Bounds slice_bounds(Interpreter& interpreter, Int size, const Value& start, const Value& stop,
                    const Value& step) {
  const auto is_given = [](const Value& value) { return !value.is_missing() && !value.is_none(); };
  Bounds bounds{0, size, is_given(step) ? slice_number(interpreter, step) : Int{1}};
  if (bounds.step == 0) interpreter.fail("slice step cannot be zero");
  const bool is_backward = bounds.step < 0;
  const Int least = is_backward ? -1 : 0, most = is_backward ? size - 1 : size;
  const auto place = [&](const Value& value, Int otherwise) {
    if (!is_given(value)) return otherwise;
    Int index = slice_number(interpreter, value);
    if (index < 0) index += size;
    return std::clamp(index, least, most);
  };
  bounds.start = place(start, is_backward ? most : least);
  bounds.stop = place(stop, is_backward ? least : most);
  return bounds;
}

}  // namespace

Value get_slice(Interpreter& interpreter, const Value& value, const Value& start, const Value& stop,
                const Value& step) {
  if (value.is_undefined()) interpreter.fail("{}", value.undefined_message());
  auto* range = value.object_as<Range>();
  if (!value.is_text() && !value.is_sequence() && range == nullptr)
    interpreter.fail("'{}' object is not subscriptable by a slice", type_name(value));
  const Bounds bounds =
      slice_bounds(interpreter, *length_of(interpreter, value), start, stop, step);
  if (range != nullptr)
    return interpreter.object(std::make_shared<Range>(range->start + bounds.start * range->step,
                                                      range->start + bounds.stop * range->step,
                                                      range->step * bounds.step));
  const Range places(bounds.start, bounds.stop, bounds.step);
  const Int count = places.size();
  const auto at = [&](Int k) { return static_cast<std::size_t>(bounds.start + k * bounds.step); };
  interpreter.step(static_cast<std::uint64_t>(count / 8));
  if (value.is_sequence()) {
    std::vector<Value> items;
    for (Int k = 0; k < count; ++k) items.push_back(value.items()[at(k)]);
    return value.is(Kind::kList) ? interpreter.list(std::move(items))
                                 : interpreter.tuple(std::move(items));
  }
  const auto& bytes = value.bytes();
  if (value.text().is_ascii() && bounds.step == 1)
    return interpreter.text_like(
        value, count == 0 ? "" : bytes.substr(at(0), static_cast<std::size_t>(count)));
  interpreter.work(bytes.size() * 8);
  const std::u32string points = decode(bytes);
  std::string out;
  for (Int k = 0; k < count; ++k) append_point(out, points[at(k)]);
  return interpreter.text_like(value, std::move(out));
}

}  // namespace whit::jinja
