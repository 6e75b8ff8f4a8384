#include "model/arch.h"

#include <fmt/ranges.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/arch/architectures.h"

namespace whit::model {

namespace {

struct Architecture {
  std::string_view model_type;
  ModelSpec (*from_config)(const nlohmann::json&);
};

constexpr std::array kArchitectures{
    Architecture{"deepseek_v3", &arch::deepseek_v3},
    Architecture{"llama", &arch::llama},
};

}  // namespace

std::vector<std::string_view> known_architectures() {
  std::vector<std::string_view> names;
  for (const Architecture& architecture : kArchitectures) names.push_back(architecture.model_type);
  return names;
}

ModelSpec spec_from_config(const nlohmann::json& config) {
  const arch::Fields fields(config);
  if (!fields.present("model_type"))
    base::fail(base::ErrorKind::kInput, fields.subject("model_type"),
               "missing; expected the name of an architecture");
  const std::string type = fields.text_or("model_type", "");
  for (const Architecture& architecture : kArchitectures)
    if (architecture.model_type == type) return architecture.from_config(config);
  base::fail(base::ErrorKind::kUnsupported, fields.subject("model_type"),
             "found \"{}\"; expected one of: {}", type.substr(0, 80),
             fmt::join(known_architectures(), ", "));
}

}  // namespace whit::model
