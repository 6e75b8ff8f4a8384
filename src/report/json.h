#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/event.h"

namespace whit::report {

using Json = nlohmann::ordered_json;

// json[key] = value; where it is NaN or infinite: null, and json[key + "_reason"] = reason.
void put_number(Json& json, const std::string& key, double value, std::string_view reason);

// {"event": NAME, fields...}; numbers as put_number has them.
Json to_json(const base::Event& event);

// One document, UTF-8; bytes that are not UTF-8 become U+FFFD. indent < 0: one line.
std::string dump(const Json& json, int indent = 2);

}  // namespace whit::report
