#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "numeric/dtype.h"
#include "scheme/fp8_scaling.h"

namespace whit::formats {

enum class IncMode : std::uint8_t { kNone, kQuantize, kMeasure, kShape, kLoad };
enum class IncScaleFormat : std::uint8_t { kConst, kScalar };
enum class IncMeasureExclude : std::uint8_t { kNone, kInput, kOutput, kParams, kAll };

// Modules by regular expressions, searched anywhere in their names, and by the names of classes.
struct IncModuleList {
  std::vector<std::string> names;
  std::vector<std::string> types;
};

// Which method a module's scales are chosen by: by its name, its layer's number, its class, or the
// default, in this order.
struct IncScaleMethods {
  scheme::ScaleMethod fallback;
  std::map<std::string, scheme::ScaleMethod> nodes;
  std::map<std::string, scheme::ScaleMethod> layers;
  std::map<std::string, scheme::ScaleMethod> layer_types;

  const scheme::ScaleMethod& of(std::string_view module, std::string_view class_name) const;
  std::vector<const scheme::ScaleMethod*> all() const;
};

// Intel Neural Compressor's JSON config, with what its engine takes a missing key for.
struct IncConfig {
  IncMode mode = IncMode::kQuantize;
  std::string observer = "maxabs";
  std::optional<std::string> dump_stats_path;
  scheme::Fp8Format fp8_format = scheme::Fp8Format::kE4M3;
  numeric::Dtype hp_dtype = numeric::Dtype::kBF16;
  IncModuleList allow, block;
  IncScaleMethods methods;
  std::string method_name = "MAXABS_HW";  // of the default; part of scale files' names
  IncScaleFormat scale_format = IncScaleFormat::kScalar;
  IncMeasureExclude measure_exclude = IncMeasureExclude::kOutput;
  std::optional<scheme::Fp8Device> device_for_scales;
  bool dynamic_quantization = false;
  bool use_qdq = false;
  bool fake_quant = false;
  bool ignore_modules_wo_measures = false;
  bool recalc_scales = false;
  bool measure_on_hpu = true;
  bool seperate_measure_files = true;  // INC's spelling
  bool row_parallel_linear_allreduce_quantization = false;
  std::int64_t calibration_sample_interval = 0;
  std::optional<double> output_backoff;  // of scale_params, beside those of `methods`
  std::vector<std::string> warnings;

  // Whether measurements are needed: not by fixed scales, nor by dynamic ones.
  bool needs_measurements() const;
};

// Errors: kInput (subject: `subject` and the key): an unknown key, with the nearest known one, a
// value that no engine takes, a structured method that is none of the 13 kinds, what contradicts
// itself; kUnsupported: a method that INC removed.
IncConfig parse_inc_config(const nlohmann::ordered_json& json, const std::string& subject);
IncConfig read_inc_config(const std::filesystem::path& path);

// What serves `config` on `device`, checked as INC checks it: the device whose scales are used.
// Errors: kInput for a config of another device.
scheme::Fp8Device device_for_scales(const IncConfig& config,
                                    std::optional<scheme::Fp8Device> device,
                                    const std::string& subject);

// dump_stats_path, in parts. Relative paths and folders that are not there are looked for beside
// the config as well. Errors: kInput where it names no folder.
struct IncDumpPath {
  std::string prefix;
  std::vector<std::filesystem::path> folders;  // in order of trust
};
IncDumpPath resolve_dump_path(const IncConfig& config, const std::filesystem::path& config_file);

}  // namespace whit::formats
