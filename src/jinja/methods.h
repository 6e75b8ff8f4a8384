#pragma once

#include <span>

#include "jinja/builtins.h"

namespace whit::jinja {

// Methods of Python's types, one list a file.
std::span<const Callable> text_methods();
std::span<const Callable> text_predicates();
std::span<const Callable> list_methods();
std::span<const Callable> dict_methods();
std::span<const Callable> number_methods();

}  // namespace whit::jinja
