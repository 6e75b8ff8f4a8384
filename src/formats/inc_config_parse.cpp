#include <algorithm>
#include <functional>

#include "base/error.h"
#include "base/nearest.h"
#include "formats/inc_config.h"

namespace whit::formats {

namespace {

using base::ErrorKind;
using base::fail;
using Json = nlohmann::ordered_json;
using scheme::ScaleMethod;
using scheme::TensorScaling;

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

// A value of the config and where it stands.
struct IncField {
  const Json& json;
  std::string subject;

  [[noreturn]] void refuse(const std::string& expected) const {
    std::string found = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (found.size() > 80) found = found.substr(0, 77) + "...";
    fail(ErrorKind::kInput, subject, "{}; expected {}", found, expected);
  }
  std::string text() const {
    if (!json.is_string()) refuse("a text");
    return json.get<std::string>();
  }
  // Enums and booleans are matched as Python prints them, whatever their case.
  std::string word() const {
    if (json.is_boolean()) return json.get<bool>() ? "TRUE" : "FALSE";
    if (!json.is_string()) refuse("a name");
    return upper(json.get<std::string>());
  }
  bool truth() const {
    const std::string value = json.is_boolean() || json.is_string() ? word() : "";
    if (value != "TRUE" && value != "FALSE") refuse("true or false");
    return value == "TRUE";
  }
  double positive() const {
    if (!json.is_number() || json.get<double>() <= 0 || json.get<double>() > 1e6)
      refuse("a number above 0");
    return json.get<double>();
  }
  std::vector<std::string> texts() const {
    std::vector<std::string> values;
    if (!json.is_array()) refuse("a list of names");
    for (const auto& entry : json) {
      if (!entry.is_string()) refuse("a list of names");
      values.push_back(entry.get<std::string>());
    }
    return values;
  }
  template <typename Enum>
  Enum one_of(const std::vector<std::pair<std::string, Enum>>& known) const {
    std::string names;
    const std::string value = word();
    for (const auto& [name, entry] : known) {
      if (name == value) return entry;
      names += (names.empty() ? "" : ", ") + name;
    }
    refuse("one of " + names);
  }
  // Calls a reader for each entry; keys that have none are refused.
  void each(const std::map<std::string, std::function<void(const IncField&)>>& readers) const {
    if (!json.is_object()) refuse("an object");
    for (const auto& [key, value] : json.items()) {
      const IncField field{value, subject + ": " + key};
      const auto reader = readers.find(key);
      if (reader != readers.end()) {
        reader->second(field);
        continue;
      }
      std::vector<std::string> known;
      known.reserve(readers.size());
      for (const auto& [name, read] : readers) known.push_back(name);
      base::Error error(ErrorKind::kInput, field.subject,
                        "an unknown key; expected one that Intel Neural Compressor knows");
      const auto guess = base::nearest(key, known);
      if (!guess.empty()) error.suggest("did you mean " + guess + "?");
      throw error;
    }
  }
};

using Readers = std::map<std::string, std::function<void(const IncField&)>>;

IncModuleList read_modules(const IncField& field) {
  IncModuleList list;
  field.each({{"names", [&](const IncField& f) { list.names = f.texts(); }},
              {"types", [&](const IncField& f) { list.types = f.texts(); }}});
  return list;
}

template <typename Enum>
std::vector<std::pair<std::string, Enum>> words(std::initializer_list<Enum> values) {
  std::vector<std::pair<std::string, Enum>> known;
  for (const Enum value : values) known.emplace_back(scheme::name_of(value), value);
  return known;
}

void read_scaling(const IncField& field, TensorScaling& scaling) {
  using scheme::ScaleGranularity;
  using scheme::ScaleRounding;
  using scheme::ScaleValue;
  field.each(
      {{"granularity",
        [&](const IncField& f) {
          scaling.granularity =
              f.one_of(words({ScaleGranularity::kTensor, ScaleGranularity::kChannel}));
        }},
       {"scale_value_type",
        [&](const IncField& f) {
          scaling.value = f.one_of(words({ScaleValue::kMaxabs, ScaleValue::kFixed,
                                          ScaleValue::kLeastError, ScaleValue::kDummy}));
        }},
       {"rounding_method",
        [&](const IncField& f) {
          scaling.rounding = f.one_of(
              words({ScaleRounding::kIdentity, ScaleRounding::kPow2, ScaleRounding::kHwAligned,
                     ScaleRounding::kHwAlignedFixed, ScaleRounding::kUnit}));
        }},
       {"backoff", [&](const IncField& f) { scaling.backoff = f.positive(); }},
       {"params", [&](const IncField& params) {
          params.each({{"weight_scales", [&](const IncField& f) {
                          scaling.candidates.clear();
                          if (!f.json.is_array()) f.refuse("a list of numbers");
                          for (const auto& entry : f.json)
                            scaling.candidates.push_back(IncField{entry, f.subject}.positive());
                        }}});
        }}});
}

ScaleMethod read_method(const IncField& field, ScaleMethod method) {
  field.each({{"weight", [&](const IncField& f) { read_scaling(f, method.weight); }},
              {"activation", [&](const IncField& f) { read_scaling(f, method.activation); }}});
  if (scheme::named_like(method) == nullptr)
    fail(ErrorKind::kInput, field.subject,
         "weight {} with activation {}; expected the kinds of one of the 13 named methods",
         scheme::to_string(method.weight), scheme::to_string(method.activation));
  return method;
}

void read_structured(const IncField& field, IncConfig& config) {
  const auto fallback = field.json.find("default");
  if (fallback == field.json.end())
    fail(ErrorKind::kInput, field.subject, "no key default; expected one");
  // INC gives a structured method the backoff 1, not that of the method that has its kinds.
  auto& methods = config.methods;
  methods.fallback = read_method({*fallback, field.subject + ": default"}, ScaleMethod());
  const auto overrides = [&](std::map<std::string, ScaleMethod>& named) {
    return [&named, &methods](const IncField& f) {
      if (!f.json.is_object()) f.refuse("an object");
      for (const auto& [key, value] : f.json.items())
        named[key] = read_method({value, f.subject + ": " + key}, methods.fallback);
    };
  };
  field.each({{"default", [](const IncField&) {}},
              {"nodes", overrides(methods.nodes)},
              {"layers", overrides(methods.layers)},
              {"layer_types", overrides(methods.layer_types)}});
  config.method_name = scheme::named_like(methods.fallback)->name;
  config.recalc_scales = true;
}

void read_scale_method(const IncField& field, IncConfig& config) {
  if (field.json.is_object()) return read_structured(field, config);
  const std::string name = upper(field.text());
  if (const auto* named = scheme::find_scale_method(name)) {
    config.methods.fallback = named->method;
    config.method_name = name;
    return;
  }
  if (name.find("SMOOTHQUANT") != std::string::npos)
    fail(ErrorKind::kUnsupported, field.subject,
         "{}, which Intel Neural Compressor removed in June 2025; expected one of its 13 methods",
         name);
  std::vector<std::string> known;
  for (const auto& method : scheme::named_scale_methods()) known.emplace_back(method.name);
  base::Error error(ErrorKind::kInput, field.subject,
                    fmt::format("{}; expected one of {}", name, fmt::join(known, ", ")));
  const auto guess = base::nearest(name, known);
  if (!guess.empty()) error.suggest("did you mean " + guess + "?");
  throw error;
}

// Backoffs that the documentation promises and INC has ignored since May 2025.
void read_scale_params(const IncField& field, IncConfig& config) {
  auto methods = std::vector<ScaleMethod*>{&config.methods.fallback};
  for (auto* named : {&config.methods.nodes, &config.methods.layers, &config.methods.layer_types})
    for (auto& [name, method] : *named) methods.push_back(&method);
  const auto warn = [&](const IncField& f) {
    config.warnings.push_back(f.subject + ": honoured; Intel Neural Compressor itself ignores it");
  };
  field.each({{"input_backoff",
               [&](const IncField& f) {
                 const double backoff = f.positive();
                 if (backoff == config.methods.fallback.activation.backoff) return;
                 config.output_backoff =
                     config.output_backoff.value_or(config.methods.fallback.activation.backoff);
                 for (auto* method : methods) method->activation.backoff = backoff;
                 warn(f);
               }},
              {"weight_backoff",
               [&](const IncField& f) {
                 const double backoff = f.positive();
                 if (backoff == config.methods.fallback.weight.backoff) return;
                 for (auto* method : methods) method->weight.backoff = backoff;
                 warn(f);
               }},
              {"output_backoff", [&](const IncField& f) {
                 config.output_backoff = f.positive();
                 warn(f);
               }}});
}

IncMode read_mode(const IncField& field) {
  if (field.json.is_string() && upper(field.text()) == "AUTO")
    fail(ErrorKind::kInput, field.subject,
         "AUTO, which only Intel Neural Compressor's Python calls resolve; expected QUANTIZE or "
         "MEASURE");
  return field.one_of<IncMode>({{"NONE", IncMode::kNone},
                                {"QUANTIZE", IncMode::kQuantize},
                                {"MEASURE", IncMode::kMeasure},
                                {"SHAPE", IncMode::kShape},
                                {"LOAD", IncMode::kLoad}});
}

std::string read_observer(const IncField& field) {
  const std::string name = field.text();
  for (const char* known : {"maxabs", "maxabs_per_channel", "save", "shape"})
    if (name == known) return name;
  field.refuse("maxabs, maxabs_per_channel, save or shape");
}

// Enums of the engine.
void add_choices(Readers& readers, IncConfig& config) {
  using numeric::Dtype;
  using scheme::Fp8Device;
  using scheme::Fp8Format;
  readers["mode"] = [&](const IncField& f) { config.mode = read_mode(f); };
  readers["observer"] = [&](const IncField& f) { config.observer = read_observer(f); };
  readers["fp8_config"] = [&](const IncField& f) {
    config.fp8_format =
        f.one_of<Fp8Format>({{"E4M3", Fp8Format::kE4M3}, {"E5M2", Fp8Format::kE5M2}});
  };
  readers["hp_dtype"] = [&](const IncField& f) {
    config.hp_dtype =
        f.one_of<Dtype>({{"BF16", Dtype::kBF16}, {"FP16", Dtype::kF16}, {"FP32", Dtype::kF32}});
  };
  readers["scale_format"] = [&](const IncField& f) {
    config.scale_format = f.one_of<IncScaleFormat>(
        {{"CONST", IncScaleFormat::kConst}, {"SCALAR", IncScaleFormat::kScalar}});
  };
  readers["measure_exclude"] = [&](const IncField& f) {
    config.measure_exclude = f.one_of<IncMeasureExclude>({{"NONE", IncMeasureExclude::kNone},
                                                          {"INPUT", IncMeasureExclude::kInput},
                                                          {"OUTPUT", IncMeasureExclude::kOutput},
                                                          {"PARAMS", IncMeasureExclude::kParams},
                                                          {"ALL", IncMeasureExclude::kAll}});
    if (config.measure_exclude == IncMeasureExclude::kInput ||
        config.measure_exclude == IncMeasureExclude::kParams)
      config.warnings.push_back(f.subject +
                                ": has no effect; only OUTPUT and ALL leave anything out");
  };
  readers["device_for_scales"] = [&](const IncField& f) {
    if (!f.json.is_null())
      config.device_for_scales =
          f.one_of<Fp8Device>({{"GAUDI2", Fp8Device::kGaudi2}, {"GAUDI3", Fp8Device::kGaudi3}});
  };
}

void add_switches(Readers& readers, IncConfig& config) {
  const auto add = [&](const char* key, bool& value) {
    readers[key] = [&value](const IncField& f) { value = f.truth(); };
  };
  add("dynamic_quantization", config.dynamic_quantization);
  add("use_qdq", config.use_qdq);
  add("fake_quant", config.fake_quant);
  add("ignore_modules_wo_measures", config.ignore_modules_wo_measures);
  add("recalc_scales", config.recalc_scales);
  add("measure_on_hpu", config.measure_on_hpu);
  add("seperate_measure_files", config.seperate_measure_files);
  add("row_parallel_linear_allreduce_quantization",
      config.row_parallel_linear_allreduce_quantization);
}

void add_others(Readers& readers, IncConfig& config) {
  readers["dump_stats_path"] = [&](const IncField& f) { config.dump_stats_path = f.text(); };
  readers["allowlist"] = [&](const IncField& f) { config.allow = read_modules(f); };
  readers["blocklist"] = [&](const IncField& f) { config.block = read_modules(f); };
  readers["whitelist"] = readers["allowlist"];
  readers["blacklist"] = readers["blocklist"];
  readers["calibration_sample_interval"] = [&](const IncField& f) {
    if (!f.json.is_number_integer() || f.json.get<std::int64_t>() < 0) f.refuse("0 or more");
    config.calibration_sample_interval = f.json.get<std::int64_t>();
  };
  readers["mod_dict"] = [](const IncField& f) {
    if (!f.json.is_object() || !f.json.empty()) f.refuse("an empty object");
  };
  // Of older versions, and what the engine writes for itself.
  for (const char* key :
       {"method", "quantize_weight", "local_rank", "global_rank", "world_size", "device_type",
        "use_stats_files", "measure_file", "scale_file", "shape_file"})
    readers[key] = [&](const IncField& f) {
      if (!f.json.is_null()) config.warnings.push_back(f.subject + ": has no effect");
    };
  // Read before and after all others.
  readers["scale_method"] = [](const IncField&) {};
  readers["scale_params"] = [](const IncField&) {};
}

void check_dynamic(const IncConfig& config, const std::string& subject) {
  for (const auto* method : config.methods.all()) {
    const auto* named = scheme::named_like(*method);
    if (named->dynamic_only && !config.dynamic_quantization)
      fail(ErrorKind::kInput, subject + ": scale_method",
           "{} without dynamic_quantization; expected that, or another method", named->name);
    if (!config.dynamic_quantization) continue;
    if (method->activation.rounding == scheme::ScaleRounding::kHwAligned ||
        method->activation.value == scheme::ScaleValue::kFixed)
      fail(ErrorKind::kInput, subject + ": scale_method",
           "{} with dynamic_quantization; expected activations that are neither fixed nor rounded "
           "to hardware's scales",
           named->name);
  }
  if (!config.dynamic_quantization) return;
  const auto refuse = [&](const char* key) {
    fail(ErrorKind::kInput, subject + ": " + key, "with dynamic_quantization; expected only one");
  };
  if (config.use_qdq) refuse("use_qdq");
  if (config.fake_quant) refuse("fake_quant");
  if (config.row_parallel_linear_allreduce_quantization)
    refuse("row_parallel_linear_allreduce_quantization");
  if (config.mode != IncMode::kQuantize && config.mode != IncMode::kLoad)
    fail(ErrorKind::kInput, subject + ": mode",
         "neither QUANTIZE nor LOAD with dynamic_quantization; expected one of these");
}

void settle_scale_format(IncConfig& config, const std::string& subject) {
  const auto methods = config.methods.all();
  const bool channels = std::any_of(methods.begin(), methods.end(),
                                    [](const auto* method) { return method->per_channel(); });
  if (config.scale_format == IncScaleFormat::kConst) return;
  if (!channels && !config.fake_quant && !config.dynamic_quantization) return;
  config.scale_format = IncScaleFormat::kConst;
  config.warnings.push_back(fmt::format("{}: scale_format: SCALAR becomes CONST, because {}",
                                        subject,
                                        channels            ? "scales are per channel"
                                        : config.fake_quant ? "of fake_quant"
                                                            : "of dynamic_quantization"));
}

}  // namespace

IncConfig parse_inc_config(const Json& json, const std::string& subject) {
  IncConfig config;
  config.methods.fallback = scheme::find_scale_method("MAXABS_HW")->method;
  const IncField whole{json, subject};
  if (!json.is_object()) whole.refuse("an object");
  Readers readers;
  add_choices(readers, config);
  add_switches(readers, config);
  add_others(readers, config);
  if (const auto method = json.find("scale_method"); method != json.end())
    read_scale_method({*method, subject + ": scale_method"}, config);
  whole.each(readers);
  // INC computes anew whenever the method is structured, whatever the key says.
  if (const auto method = json.find("scale_method"); method != json.end() && method->is_object())
    config.recalc_scales = true;
  if (const auto params = json.find("scale_params"); params != json.end())
    read_scale_params({*params, subject + ": scale_params"}, config);
  check_dynamic(config, subject);
  settle_scale_format(config, subject);
  return config;
}

}  // namespace whit::formats
