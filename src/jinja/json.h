#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "jinja/value.h"

namespace whit::jinja {

using Json = nlohmann::ordered_json;

// A document as Python's json reads it: keys in their order, the last of equal ones, integers of up
// to 127 bits whole. Errors: kInput: no JSON, deeper than 100 levels; kUnsupported: longer
// integers.
Value parse_json(std::string_view text, const std::string& subject);

// The same of a parsed document, whose integers beyond 64 bits the parser has made floats.
// Errors: kInput: deeper than 100 levels.
Value from_json(const Json& json, const std::string& subject);

}  // namespace whit::jinja
