#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "jinja/run.h"

namespace whit::jinja {

// -1, 0, 1, exactly, whatever the kinds of the two numbers; 2 where one is not a number (NaN).
int compare_numbers(const Value& a, const Value& b);

// Python's int(text, base) and float(text): digits of any script, underscores, surrounding space.
// nullopt where Python raises ValueError. Errors: a value that whit's integers do not hold.
std::optional<Int> parse_int(const Run& run, std::string_view text, int base);
std::optional<double> parse_float(std::string_view text);

// Python's int(float). Errors: NaN, infinities, more than 127 bits.
Int truncate(const Run& run, double value);

// Python's repr of a float: the shortest digits that read back the same.
std::string float_repr(double value);
std::string int_text(Int value, int base = 10);

// A float with `digits` digits after the point: 'f', 'e', 'g' and so on, as printf has them.
std::string format_float(double value, char style, int precision, bool alternate = false);

// round(value, digits), ties to even. An integer stays one.
Value round_number(const Value& value, Int digits);

// +, -, *, /, //, %, ** of two numbers, as Python does them. Errors: division by zero, overflow.
Value number_arithmetic(Run& run, std::string_view op, const Value& a, const Value& b);
Value negate(Run& run, const Value& value);

}  // namespace whit::jinja
