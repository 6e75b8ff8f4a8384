#include "formats/vptq_config.h"

#include <fmt/format.h>

#include <array>
#include <bit>

#include "base/checked.h"
#include "base/error.h"

namespace whit::formats {

namespace {

using base::ErrorKind;
using base::fail;
using nlohmann::json;

constexpr std::int64_t kMostEntries = 65536;
constexpr std::int64_t kMostExtent = std::int64_t{1} << 32;

// The entry of one linear, with its path for messages.
struct LinearEntry {
  const json& value;
  std::string path;

  const json& get(const char* key) const {
    const auto found = value.find(key);
    if (found == value.end()) fail(ErrorKind::kInput, path, "has no {}; expected one", key);
    return *found;
  }
  [[noreturn]] void refuse(const char* key, std::string_view expected) const {
    fail(ErrorKind::kInput, path + "." + key, "is {}; expected {}",
         get(key).dump(-1, ' ', false, json::error_handler_t::replace), expected);
  }
  static bool is_within(const json& number, std::int64_t low, std::int64_t high) {
    return number.is_number_integer() &&
           (!number.is_number_unsigned() || number.get<std::uint64_t>() <= INT64_MAX) &&
           number.get<std::int64_t>() >= low && number.get<std::int64_t>() <= high;
  }
  std::int64_t integer(const char* key, std::int64_t low, std::int64_t high) const {
    const json& number = get(key);
    if (!is_within(number, low, high)) refuse(key, fmt::format("an integer of {}..{}", low, high));
    return number.get<std::int64_t>();
  }
  bool flag(const char* key) const {
    const json& found = get(key);
    if (!found.is_boolean()) refuse(key, "true or false");
    return found.get<bool>();
  }
  // Of outliers and of the other columns; what is -1 or null counts as 0.
  std::array<std::int64_t, 2> both(const char* key, std::int64_t most) const {
    const json& pair = get(key);
    if (!pair.is_array() || pair.size() != 2) refuse(key, "two integers");
    std::array<std::int64_t, 2> numbers{};
    for (std::size_t i = 0; i < 2; ++i) {
      if (pair[i].is_null()) continue;
      if (!is_within(pair[i], -1, most)) refuse(key, fmt::format("two integers of -1..{}", most));
      numbers[i] = std::max<std::int64_t>(pair[i].get<std::int64_t>(), 0);
    }
    return numbers;
  }
};

void check_entries(const LinearEntry& entry, const char* key, std::int64_t count) {
  if (count < 2 || !std::has_single_bit(static_cast<std::uint64_t>(count)))
    entry.refuse(key, "a power of two from 2");
}

VectorModule parse_linear(const json& value, const std::string& path) {
  if (!value.is_object())
    fail(ErrorKind::kInput, path, "is {}; expected an object", value.type_name());
  const LinearEntry entry{value, path};
  if (value.contains("is_indice_packed") && !entry.flag("is_indice_packed"))
    fail(ErrorKind::kUnsupported, path + ".is_indice_packed", "false; expected packed indices");
  if (const auto dim = value.find("norm_dim"); dim != value.end() && *dim != 0 && !dim->is_null())
    fail(ErrorKind::kUnsupported, path + ".norm_dim", "{}; expected 0, scales by column",
         dim->dump());
  VectorModule module;
  module.rows = entry.integer("out_features", 1, kMostExtent);
  module.cols = entry.integer("in_features", 1, kMostExtent);
  if (value.contains("bias") && !value["bias"].is_null()) module.bias = entry.flag("bias");
  scheme::VectorLayout& layout = module.layout;
  const auto lengths = entry.both("vector_lens", kMostExtent);
  const auto centroids = entry.both("num_centroids", kMostEntries);
  const auto residuals = entry.both("num_res_centroids", kMostEntries);
  layout.length = lengths[1];
  layout.centroids = centroids[1];
  layout.residuals = residuals[1];
  if (layout.length < 1) entry.refuse("vector_lens", "a length of 1 or more");
  check_entries(entry, "num_centroids", layout.centroids);
  if (layout.residuals > 0) check_entries(entry, "num_res_centroids", layout.residuals);
  if (residuals[0] > 0) entry.refuse("num_res_centroids", "no residuals of outliers");
  layout.outliers = entry.integer("outlier_size", 0, module.cols - 1);
  if (layout.outliers > 0) {
    layout.outlier_length = lengths[0];
    layout.outlier_centroids = centroids[0];
    if (layout.outlier_length < 1) entry.refuse("vector_lens", "a length for outliers");
    check_entries(entry, "num_centroids", layout.outlier_centroids);
  }
  layout.groups = entry.integer("group_num", 1, module.cols);
  const std::int64_t size = entry.integer("group_size", 1, module.cols);
  if ((module.cols - layout.outliers) % layout.groups != 0 ||
      layout.group_size(module.cols) != size)
    entry.refuse("group_size", fmt::format("{} columns less {} outliers in {} groups", module.cols,
                                           layout.outliers, layout.groups));
  layout.normed = entry.flag("enable_norm");
  layout.permuted = entry.flag("enable_perm");
  return module;
}

// 0 stands for what is not there, which VPTQ writes as -1.
std::int64_t or_none(std::int64_t value) {
  return value > 0 ? value : -1;
}

nlohmann::ordered_json linear_json(const VectorModule& module) {
  const scheme::VectorLayout& layout = module.layout;
  return {{"in_features", module.cols},
          {"out_features", module.rows},
          {"vector_lens", {or_none(layout.outlier_length), layout.length}},
          {"num_centroids", {or_none(layout.outlier_centroids), layout.centroids}},
          {"num_res_centroids", {-1, or_none(layout.residuals)}},
          {"group_num", layout.groups},
          {"group_size", layout.group_size(module.cols)},
          {"outlier_size", layout.outliers},
          {"enable_norm", layout.normed},
          {"enable_perm", layout.permuted},
          {"bias", module.bias},
          {"is_indice_packed", true},
          {"indices_as_float", false}};
}

void parse_linears(const json& config, const char* key, const std::string& subject,
                   std::map<std::string, VectorModule, std::less<>>& linears) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return;
  const std::string path = subject + "." + key;
  if (!found->is_object())
    fail(ErrorKind::kInput, path, "is {}; expected an object", found->type_name());
  for (const auto& [name, value] : found->items())
    linears.emplace(name, parse_linear(value, path + "." + name));
}

}  // namespace

const VectorModule* VectorModules::find(const std::string& module) const {
  if (const auto found = by_name.find(module); found != by_name.end()) return &found->second;
  const auto found = by_last_part.find(module.substr(module.rfind('.') + 1));
  return found == by_last_part.end() ? nullptr : &found->second;
}

nlohmann::ordered_json vptq_config_json(const VectorModules& modules,
                                        const std::vector<std::string>& unconverted) {
  nlohmann::ordered_json json{{"quant_method", "vptq"}};
  json["config_for_layers"] = nlohmann::ordered_json::object();
  for (const auto& [name, module] : modules.by_name)
    json["config_for_layers"][name] = linear_json(module);
  if (!unconverted.empty()) json["modules_to_not_convert"] = unconverted;
  return json;
}

VectorModules parse_vptq_config(const json& config, const std::string& subject) {
  VectorModules modules;
  parse_linears(config, "config_for_layers", subject, modules.by_name);
  parse_linears(config, "shared_layer_config", subject, modules.by_last_part);
  return modules;
}

}  // namespace whit::formats
