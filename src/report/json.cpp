#include "report/json.h"

#include <cmath>

namespace whit::report {

void put_number(Json& json, const std::string& key, double value, std::string_view reason) {
  if (std::isfinite(value)) {
    json[key] = value;
    return;
  }
  json[key] = nullptr;
  json[key + "_reason"] = reason;
}

Json to_json(const base::Event& event) {
  Json json{{"event", event.name}};
  for (const auto& [name, value] : event.fields) {
    if (const auto* number = std::get_if<double>(&value))
      put_number(json, name, *number, std::isnan(*number) ? "not a number" : "infinite");
    else
      std::visit([&, key = name](const auto& v) { json[key] = v; }, value);
  }
  return json;
}

std::string dump(const Json& json, int indent) {
  return json.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace whit::report
