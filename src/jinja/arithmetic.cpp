#include <cmath>

#include "jinja/number.h"

namespace whit::jinja {

namespace {

[[noreturn]] void fail_wide(const Run& run) {
  run.refuse("an integer of more than 127 bits; expected a smaller one");
}

Int sum(const Run& run, Int a, Int b) {
  if (__builtin_add_overflow(a, b, &a)) fail_wide(run);
  return a;
}

Int difference(const Run& run, Int a, Int b) {
  if (__builtin_sub_overflow(a, b, &a)) fail_wide(run);
  return a;
}

Int product(const Run& run, Int a, Int b) {
  if (__builtin_mul_overflow(a, b, &a)) fail_wide(run);
  return a;
}

Int floor_divide(const Run& run, Int a, Int b) {
  if (b == 0) run.fail("integer division or modulo by zero");
  if (b == -1) return difference(run, 0, a);
  const Int quotient = a / b;
  return quotient - static_cast<Int>(a % b != 0 && (a < 0) != (b < 0));
}

Int floor_modulo(const Run& run, Int a, Int b) {
  if (b == 0) run.fail("integer division or modulo by zero");
  if (b == -1) return 0;
  const Int rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

double float_modulo(const Run& run, double a, double b) {
  if (b == 0) run.fail("float modulo");
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

double float_floor_divide(const Run& run, double a, double b) {
  if (b == 0) run.fail("float floor division by zero");
  const double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) quotient -= 1.0;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floor = std::floor(quotient);
  return quotient - floor > 0.5 ? floor + 1.0 : floor;
}

Int integer_power(const Run& run, Int base, Int exponent) {
  Int result = 1;
  for (Int rest = exponent; rest > 0; rest /= 2) {
    if (rest % 2 == 1 && __builtin_mul_overflow(result, base, &result)) fail_wide(run);
    if (rest > 1 && __builtin_mul_overflow(base, base, &base)) fail_wide(run);
  }
  return result;
}

double float_power(const Run& run, double base, double exponent) {
  if (base == 0 && exponent < 0) run.fail("0.0 cannot be raised to a negative power");
  if (base < 0 && std::isfinite(exponent) && exponent != std::floor(exponent))
    run.refuse("a power that is a complex number; expected a real one");
  const double result = std::pow(base, exponent);
  if (std::isinf(result) && std::isfinite(base) && std::isfinite(exponent))
    run.fail("Numerical result out of range");
  return result;
}

Value on_floats(const Run& run, std::string_view op, double a, double b) {
  if (op == "+") return Value(a + b);
  if (op == "-") return Value(a - b);
  if (op == "*") return Value(a * b);
  if (op == "//") return Value(float_floor_divide(run, a, b));
  if (op == "%") return Value(float_modulo(run, a, b));
  if (op == "**") return Value(float_power(run, a, b));
  if (b == 0) run.fail("float division by zero");
  return Value(a / b);
}

Value on_integers(const Run& run, std::string_view op, Int a, Int b) {
  if (op == "+") return Value(sum(run, a, b));
  if (op == "-") return Value(difference(run, a, b));
  if (op == "*") return Value(product(run, a, b));
  if (op == "//") return Value(floor_divide(run, a, b));
  if (op == "%") return Value(floor_modulo(run, a, b));
  if (op == "**" && b >= 0) return Value(integer_power(run, a, b));
  if (op == "**") return Value(float_power(run, static_cast<double>(a), static_cast<double>(b)));
  if (b == 0) run.fail("division by zero");
  return Value(static_cast<double>(a) / static_cast<double>(b));
}

}  // namespace

Value number_arithmetic(Run& run, std::string_view op, const Value& a, const Value& b) {
  if (a.is(Kind::kFloat) || b.is(Kind::kFloat)) return on_floats(run, op, a.number(), b.number());
  return on_integers(run, op, a.integer(), b.integer());
}

}  // namespace whit::jinja
