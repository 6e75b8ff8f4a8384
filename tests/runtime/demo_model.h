#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "checkpoint/json_file.h"

namespace whit::testing {

inline std::filesystem::path demo_folder() {
  return std::filesystem::path(WHIT_SOURCE_DIR) / "demo" / "moe-15m";
}

// What transformers says of the demo model; tests/golden/moe-15m/reference.json.
inline nlohmann::json demo_reference() {
  return checkpoint::read_json_object(std::filesystem::path(WHIT_TEST_DATA) / "golden" / "moe-15m" /
                                      "reference.json");
}

}  // namespace whit::testing
