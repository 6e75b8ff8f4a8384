#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "jinja/object.h"

namespace whit::jinja {

// Python's operators on any values. Errors: kInput where Python or jinja2 raises.

// The name of the Python type, and how jinja2's messages about missing attributes write it.
std::string_view type_name(const Value& value);
std::string type_description(const Value& value);

bool is_truthy(Interpreter& interpreter, const Value& value);
std::string to_str(Interpreter& interpreter, const Value& value);  // str(value)
std::string to_repr(Interpreter& interpreter, const Value& value);
std::string to_ascii(Interpreter& interpreter, const Value& value);  // ascii(value)
std::string in_quotes(std::string_view utf8);                        // repr of a str

// str(value) as a value: a text itself, markup kept.
Value soft_str(Interpreter& interpreter, const Value& value);
std::string escaped_html(std::string_view utf8);
// markupsafe.escape: what is markup already stays.
std::string escape(Interpreter& interpreter, const Value& value);

bool equal(Interpreter& interpreter, const Value& a, const Value& b);
// `op` is <, <=, > or >=.
bool compare(Interpreter& interpreter, std::string_view op, const Value& a, const Value& b);
bool contains(Interpreter& interpreter, const Value& container, const Value& item);
// `op` is +, -, *, /, //, % or **.
Value binary(Interpreter& interpreter, std::string_view op, const Value& a, const Value& b);
Value unary(Interpreter& interpreter, std::string_view op, const Value& value);

// Throws unless the value can be a key of a dict.
void expect_hashable(Interpreter& interpreter, const Value& key);

// iter(value). Errors: not iterable.
std::shared_ptr<Iterator> iterate(Interpreter& interpreter, const Value& value);
bool is_iterable(const Value& value);
std::vector<Value> to_items(Interpreter& interpreter, const Value& value);  // list(value)
// reversed(value), or null where Python has none.
std::shared_ptr<Iterator> iterate_reversed(Interpreter& interpreter, const Value& value);
std::optional<std::int64_t> length_of(Interpreter& interpreter, const Value& value);

// value.name and value[key] as jinja2's sandbox looks them up; undefined where nothing is there.
Value get_attribute(Interpreter& interpreter, const Value& value, std::string_view name);
Value get_item(Interpreter& interpreter, const Value& value, const Value& key);
// value[start:stop:step]; None or Missing for what is left out.
Value get_slice(Interpreter& interpreter, const Value& value, const Value& start, const Value& stop,
                const Value& step);

// A text repeated, padded or joined never exceeds the limits: the size is proved first.
std::string repeat(Interpreter& interpreter, std::string_view text, Int count);

}  // namespace whit::jinja
