#pragma once

#include <string>
#include <string_view>

#include "jinja/object.h"

namespace whit::jinja {

// text % values, as Python's printf-style formatting.
Value percent_format(Interpreter& interpreter, const Value& format, const Value& values);

// text.format(...): `arguments` by place and by name.
Value brace_format(Interpreter& interpreter, const Value& format, const Arguments& arguments);

// format(value, spec): Python's format specification language for None, bool, int, float, str.
std::string format_value(Interpreter& interpreter, const Value& value, std::string_view spec);

// A number's or a text's padding; `width` and `fill` in code points.
enum class Align { kLeft, kRight, kCenter, kAfterSign };
std::string pad(Interpreter& interpreter, std::string text, Int width, char32_t fill, Align align);

// json.dumps(value, ...) with transformers' arguments. Errors: what is not serializable.
struct JsonStyle {
  bool ascii = false;
  bool sort_keys = false;
  bool has_indent = false;
  std::string indent;
  std::string item_separator = ", ", key_separator = ": ";
};
std::string dump_json(Interpreter& interpreter, const Value& value, const JsonStyle& style);

}  // namespace whit::jinja
