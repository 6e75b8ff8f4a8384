#include <array>
#include <charconv>

#include "formats/inc_checkpoint.h"
#include "formats/quantization_config.h"

namespace whit::formats {

namespace {

using base::ErrorKind;
using base::fail;
using nlohmann::json;
using scheme::NumberType;
using scheme::QuantArgs;
using scheme::Strategy;

// A JSON value with the path that leads to it, for messages.
struct Field {
  const json& value;
  std::string path;

  const json* get(const char* key) const {
    if (!value.is_object())
      fail(ErrorKind::kInput, path, "is {}; expected an object", value.type_name());
    const auto it = value.find(key);
    return it == value.end() || it->is_null() ? nullptr : &*it;
  }
  std::string at(const std::string& key) const { return path + "." + key; }

  [[noreturn]] void refuse(const char* key, const json& found, std::string_view expected) const {
    fail(ErrorKind::kInput, at(key), "is {}; expected {}",
         found.is_primitive() ? found.dump(-1, ' ', false, json::error_handler_t::replace)
                              : std::string(found.type_name()),
         expected);
  }
  std::string text(const char* key, const char* otherwise) const {
    const json* found = get(key);
    if (found == nullptr) return otherwise;
    if (!found->is_string()) refuse(key, *found, "a string");
    return found->get<std::string>();
  }
  bool flag(const char* key, bool otherwise) const {
    const json* found = get(key);
    if (found == nullptr) return otherwise;
    if (!found->is_boolean()) refuse(key, *found, "true or false");
    return found->get<bool>();
  }
  std::int64_t integer(const char* key, std::int64_t otherwise, std::int64_t low,
                       std::int64_t high) const {
    const json* found = get(key);
    if (found == nullptr) return otherwise;
    const bool fits = found->is_number_integer() &&
                      (!found->is_number_unsigned() || found->get<std::uint64_t>() <= INT64_MAX) &&
                      found->get<std::int64_t>() >= low && found->get<std::int64_t>() <= high;
    if (!fits) refuse(key, *found, fmt::format("an integer of {}..{}", low, high));
    return found->get<std::int64_t>();
  }
  std::vector<std::string> texts(const char* key) const {
    std::vector<std::string> result;
    const json* found = get(key);
    if (found == nullptr) return result;
    if (!found->is_array()) refuse(key, *found, "a list of strings");
    for (const json& item : *found) {
      if (!item.is_string()) refuse(key, item, "a list of strings");
      result.push_back(item.get<std::string>());
    }
    return result;
  }
};

constexpr std::int64_t kMaxExtent = std::int64_t{1} << 32;

// [128, 128] or, of older releases, "128x128".
void parse_block(const Field& field, const char* key, QuantArgs* args) {
  const json* found = field.get(key);
  if (found == nullptr) return;
  std::array<std::int64_t, 2> block{};
  bool good = false;
  if (found->is_string()) {
    const auto& text = found->get_ref<const std::string&>();
    const std::size_t x = text.find('x');
    const char* end = text.data() + text.size();
    if (x != std::string::npos) {
      const auto first = std::from_chars(text.data(), text.data() + x, block[0]);
      const auto second = std::from_chars(text.data() + x + 1, end, block[1]);
      good = first.ptr == text.data() + x && second.ptr == end && second.ec == std::errc{};
    }
  } else if (found->is_array() && found->size() == 2 && (*found)[0].is_number_unsigned() &&
             (*found)[1].is_number_unsigned()) {
    good = (*found)[0].get<std::uint64_t>() <= kMaxExtent &&
           (*found)[1].get<std::uint64_t>() <= kMaxExtent;
    if (good) block = {(*found)[0].get<std::int64_t>(), (*found)[1].get<std::int64_t>()};
  }
  if (!good || block[0] <= 0 || block[1] <= 0 || block[0] > kMaxExtent || block[1] > kMaxExtent)
    field.refuse(key, *found, "[rows, columns]");
  args->block_rows = block[0];
  args->block_cols = block[1];
}

void parse_strategy(const Field& field, std::int64_t group_size, QuantArgs* args) {
  const bool sized = field.get("group_size") != nullptr;
  const char* inferred = !sized ? "tensor" : group_size > 0 ? "group" : "channel";
  const std::string name = field.text("strategy", inferred);
  const auto strategy = scheme::strategy_from_name(name);
  if (!strategy)
    fail(ErrorKind::kInput, field.at("strategy"), "is '{}'; expected channel, group, ...", name);
  args->strategy = *strategy;
  const bool grouped = *strategy == Strategy::kGroup || *strategy == Strategy::kTensorGroup;
  if (grouped && group_size <= 0)
    fail(ErrorKind::kInput, field.at("group_size"),
         "is absent or not positive; strategy {} needs one", name);
  if (!grouped && group_size > 0)
    fail(ErrorKind::kInput, field.at("group_size"), "is {}; strategy {} takes none", group_size,
         name);
  args->group_size = grouped ? group_size : 0;
  if (*strategy == Strategy::kBlock && args->block_rows == 0)
    fail(ErrorKind::kInput, field.at("block_structure"), "is absent; strategy block needs one");
  if (*strategy != Strategy::kBlock) args->block_rows = args->block_cols = 0;
}

QuantArgs parse_args(const Field& field) {
  QuantArgs args;
  args.num_bits = static_cast<int>(field.integer("num_bits", 8, 1, 16));
  const std::string type = field.text("type", "int");
  if (type != "int" && type != "float")
    fail(ErrorKind::kInput, field.at("type"), "is '{}'; expected int or float", type);
  args.type = type == "int" ? NumberType::kInt : NumberType::kFloat;
  if (args.type == NumberType::kInt && args.num_bits > 8)
    fail(ErrorKind::kInput, field.at("num_bits"), "is {}; expected 1..8 for int", args.num_bits);
  args.symmetric = field.flag("symmetric", true);
  if (const json* dynamic = field.get("dynamic")) {
    args.dynamic = *dynamic == true || *dynamic == "local";
    if (!args.dynamic && *dynamic != false)
      field.refuse("dynamic", *dynamic, "true, false or \"local\"");
  }
  parse_block(field, "block_structure", &args);
  parse_strategy(field, field.integer("group_size", 0, -1, kMaxExtent), &args);
  return args;
}

// Schemes that a group may name instead of spelling out.
scheme::Scheme preset(const std::string& name, const std::string& path) {
  scheme::Scheme result;
  QuantArgs& weights = result.weights;
  const bool wide = name.size() == 5 && name[0] == 'W' && name.compare(2, 3, "A16") == 0;
  if (wide && name[1] >= '2' && name[1] <= '8') {
    weights.num_bits = name[1] - '0';
    weights.group_size = 128;
  } else if (name == "W4A16_ASYM") {
    weights.symmetric = false;
    weights.group_size = 128;
  } else if (name == "FP8" || name == "FP8_DYNAMIC" || name == "FP8_BLOCK") {
    weights.num_bits = 8;
    weights.type = NumberType::kFloat;
    QuantArgs inputs = weights;
    inputs.dynamic = name != "FP8";
    weights.strategy = name == "FP8"           ? Strategy::kTensor
                       : name == "FP8_DYNAMIC" ? Strategy::kChannel
                                               : Strategy::kBlock;
    inputs.strategy = name == "FP8"           ? Strategy::kTensor
                      : name == "FP8_DYNAMIC" ? Strategy::kToken
                                              : Strategy::kGroup;
    if (name == "FP8_BLOCK") weights.block_rows = weights.block_cols = inputs.group_size = 128;
    result.input_activations = inputs;
  } else {
    fail(ErrorKind::kUnsupported, path, "preset '{}'; expected a scheme spelled out", name);
  }
  return result;
}

std::optional<ConfigGroup> parse_group(const std::string& name, const Field& field,
                                       const std::string& format) {
  ConfigGroup group;
  group.format = format;
  if (field.value.is_array()) {
    const json wrapped = {{"targets", field.value}};
    group.targets = Field{wrapped, field.path}.texts("targets");
    group.scheme = preset(name, field.path);
    return group;
  }
  const json* weights = field.get("weights");
  if (weights == nullptr) return std::nullopt;
  group.targets = field.texts("targets");
  group.format = field.text("format", format.c_str());
  group.scheme.weights = parse_args({*weights, field.at("weights")});
  if (const json* inputs = field.get("input_activations"))
    group.scheme.input_activations = parse_args({*inputs, field.at("input_activations")});
  return group;
}

// {"quant_method": "fp8", "weight_block_size": [128, 128]}
void parse_fp8(const Field& field, QuantizationConfig* config) {
  config->format = "fp8";
  config->ignore = field.texts("ignored_layers");
  if (config->ignore.empty()) config->ignore = field.texts("modules_to_not_convert");
  ConfigGroup group{{"Linear"}, {}, "fp8"};
  QuantArgs& weights = group.scheme.weights;
  weights.num_bits = 8;
  weights.type = NumberType::kFloat;
  parse_block(field, "weight_block_size", &weights);
  weights.strategy = weights.block_rows > 0 ? Strategy::kBlock : Strategy::kTensor;
  const std::string activations = field.text("activation_scheme", "dynamic");
  if (activations != "dynamic" && activations != "static")
    fail(ErrorKind::kInput, field.at("activation_scheme"), "is '{}'; expected dynamic or static",
         activations);
  // Servers scale per 128 columns beside blocks, else per token.
  QuantArgs& inputs = group.scheme.input_activations.emplace();
  inputs.num_bits = 8;
  inputs.type = NumberType::kFloat;
  inputs.dynamic = activations == "dynamic";
  inputs.strategy = !inputs.dynamic                        ? Strategy::kTensor
                    : weights.strategy == Strategy::kBlock ? Strategy::kGroup
                                                           : Strategy::kToken;
  inputs.group_size = inputs.strategy == Strategy::kGroup ? weights.block_cols : 0;
  config->groups.push_back(std::move(group));
}

}  // namespace

QuantizationConfig parse_quantization_config(const json& value, const std::string& subject) {
  if (is_inc_config(value)) return parse_inc_checkpoint_config(value);
  const Field field{value, subject};
  QuantizationConfig config;
  config.quant_method = field.text("quant_method", "compressed-tensors");
  if (config.quant_method == "fp8") {
    parse_fp8(field, &config);
    return config;
  }
  if (config.quant_method == "vptq") {
    config.format = "vptq";
    config.ignore = field.texts("modules_to_not_convert");
    config.vectors = parse_vptq_config(value, subject);
    return config;
  }
  config.format = field.text("format", "");
  if (config.quant_method != "compressed-tensors") return config;
  config.ignore = field.texts("ignore");
  if (const json* cache = field.get("kv_cache_scheme"))
    config.kv_cache = parse_args({*cache, field.at("kv_cache_scheme")});
  config.gaudi2_codes = field.text("fp8_dtype_flavor", "") == kGaudi2Flavor;
  const json* groups = field.get("config_groups");
  if (groups == nullptr) return config;
  if (!groups->is_object()) field.refuse("config_groups", *groups, "an object");
  for (const auto& [name, group] : groups->items())
    if (auto parsed = parse_group(name, {group, field.at("config_groups." + name)}, config.format))
      config.groups.push_back(std::move(*parsed));
  return config;
}

std::optional<QuantizationConfig> quantization_config_of(const json& config,
                                                         const std::string& subject) {
  if (!config.is_object()) return std::nullopt;
  for (const char* key : {"quantization_config", "compression_config"}) {
    const auto it = config.find(key);
    if (it != config.end() && !it->is_null())
      return parse_quantization_config(*it, fmt::format("{}: {}", subject, key));
  }
  return std::nullopt;
}

}  // namespace whit::formats
