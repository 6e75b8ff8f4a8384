#include "checkpoint/json_file.h"

#include <set>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace whit::checkpoint {

namespace {

using base::ErrorKind;
using base::fail;

template <typename Json>
Json parse(std::string_view text, const std::string& subject, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes)
    fail(ErrorKind::kInput, subject, "{} bytes; expected at most {}", text.size(),
         limits.max_bytes);
  // The parser would take a NUL byte for the end of the text.
  if (text.find('\0') != std::string_view::npos)
    fail(ErrorKind::kInput, subject, "a NUL byte; expected a JSON document");
  int depth = 0;
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int, typename Json::parse_event_t event, Json& parsed) {
    using Event = typename Json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      if (++depth > limits.max_depth)
        fail(ErrorKind::kInput, subject, "nested deeper than {} levels", limits.max_depth);
      keys.emplace_back();
    } else if (event == Event::object_end || event == Event::array_end) {
      --depth;
      keys.pop_back();
    } else if (event == Event::key && limits.unique_keys) {
      const auto& key = parsed.template get_ref<const std::string&>();
      if (!keys.back().insert(key).second)
        fail(ErrorKind::kInput, subject, "key '{}' stands twice; expected once", key);
    }
    return true;
  };
  try {
    return Json::parse(text, watch);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::kInput, subject, "no valid JSON ({}); expected a JSON document", error.what());
  }
}

template <typename Json>
Json parse_object_file(const std::filesystem::path& path, const JsonLimits& limits) {
  Json json = parse<Json>(base::read_text_file(path, limits.max_bytes), path.string(), limits);
  if (!json.is_object())
    fail(ErrorKind::kInput, path.string(), "top level is {}; expected an object", json.type_name());
  return json;
}

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& subject,
                          const JsonLimits& limits) {
  return parse<nlohmann::json>(text, subject, limits);
}

nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& subject,
                                          const JsonLimits& limits) {
  return parse<nlohmann::ordered_json>(text, subject, limits);
}

nlohmann::json read_json_object(const std::filesystem::path& path, const JsonLimits& limits) {
  return parse_object_file<nlohmann::json>(path, limits);
}

nlohmann::ordered_json read_ordered_json_object(const std::filesystem::path& path,
                                                const JsonLimits& limits) {
  return parse_object_file<nlohmann::ordered_json>(path, limits);
}

}  // namespace whit::checkpoint
