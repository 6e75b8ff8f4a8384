#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace whit::checkpoint {

struct JsonLimits {
  std::uint64_t max_bytes = 100'000'000;
  int max_depth = 64;        // deeper nesting is refused before it costs memory
  bool unique_keys = false;  // refuse an object in which a key stands twice
};

// Parses JSON from strangers. Errors: kInput, subject = `subject` (position and cause).
nlohmann::json parse_json(std::string_view text, const std::string& subject,
                          const JsonLimits& limits = {});
// The same with the keys in the file's order.
nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& subject,
                                          const JsonLimits& limits = {});

// The same of a file, whose top level must be an object. Errors: kInput, subject = path.
nlohmann::json read_json_object(const std::filesystem::path& path, const JsonLimits& limits = {});
nlohmann::ordered_json read_ordered_json_object(const std::filesystem::path& path,
                                                const JsonLimits& limits = {});

}  // namespace whit::checkpoint
