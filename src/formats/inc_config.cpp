#include "formats/inc_config.h"

#include <algorithm>

#include "base/error.h"
#include "checkpoint/json_file.h"

namespace whit::formats {

namespace fs = std::filesystem;

namespace {

using base::ErrorKind;
using base::fail;
using scheme::Fp8Device;
using scheme::ScaleMethod;

// The number behind the first "layers." or else "layers/" that has one.
std::string layer_number(std::string_view module) {
  for (const std::string_view word : {"layers.", "layers/"})
    for (auto at = module.find(word); at != std::string_view::npos;
         at = module.find(word, at + 1)) {
      const auto begin = at + word.size();
      auto end = begin;
      while (end < module.size() && module[end] >= '0' && module[end] <= '9') ++end;
      if (end > begin) return std::string(module.substr(begin, end - begin));
    }
  return {};
}

const ScaleMethod* find_in(const std::map<std::string, ScaleMethod>& methods,
                           const std::string& key) {
  const auto place = methods.find(key);
  return place == methods.end() ? nullptr : &place->second;
}

bool is_fixed(const ScaleMethod& method) {
  return method.weight.value == scheme::ScaleValue::kFixed &&
         method.activation.value == scheme::ScaleValue::kFixed;
}

bool all_maxabs_hw(const IncConfig& config) {
  const auto& wanted = scheme::find_scale_method("MAXABS_HW")->method;
  const auto methods = config.methods.all();
  return std::all_of(methods.begin(), methods.end(), [&](const ScaleMethod* method) {
    return method->weight.same_kind(wanted.weight) &&
           method->activation.same_kind(wanted.activation);
  });
}

}  // namespace

const ScaleMethod& IncScaleMethods::of(std::string_view module, std::string_view class_name) const {
  if (const auto* method = find_in(nodes, std::string(module))) return *method;
  if (const auto* method = find_in(layers, layer_number(module))) return *method;
  if (const auto* method = find_in(layer_types, std::string(class_name))) return *method;
  return fallback;
}

std::vector<const ScaleMethod*> IncScaleMethods::all() const {
  std::vector<const ScaleMethod*> methods{&fallback};
  for (const auto* named : {&nodes, &layers, &layer_types})
    for (const auto& [name, method] : *named) methods.push_back(&method);
  return methods;
}

bool IncConfig::needs_measurements() const {
  const auto every = methods.all();
  return !dynamic_quantization && !std::all_of(every.begin(), every.end(), [](const auto* method) {
    return is_fixed(*method);
  });
}

IncConfig read_inc_config(const fs::path& path) {
  checkpoint::JsonLimits limits;
  limits.max_bytes = 10'000'000;
  limits.max_depth = 8;
  limits.unique_keys = true;
  return parse_inc_config(checkpoint::read_ordered_json_object(path, limits), path.string());
}

Fp8Device device_for_scales(const IncConfig& config, std::optional<Fp8Device> device,
                            const std::string& subject) {
  const auto wanted = config.device_for_scales;
  if (device == Fp8Device::kGeneric) {
    if (!config.use_qdq)
      fail(ErrorKind::kInput, subject + ": use_qdq",
           "false for a device that is no Gaudi; expected true there");
    if (config.dynamic_quantization)
      fail(ErrorKind::kInput, subject + ": dynamic_quantization",
           "true for a device that is no Gaudi; expected false there");
  }
  if (!wanted) return device.value_or(Fp8Device::kGaudi3);
  if (!device || *device == *wanted) return *wanted;
  if (*device != Fp8Device::kGaudi3 || *wanted != Fp8Device::kGaudi2)
    fail(ErrorKind::kInput, subject + ": device_for_scales",
         "{} for a {}; expected the device's own scales, or GAUDI2's on a GAUDI3",
         scheme::name_of(*wanted), scheme::name_of(*device));
  if (!all_maxabs_hw(config))
    fail(ErrorKind::kInput, subject + ": device_for_scales",
         "GAUDI2 on a GAUDI3 with scale_method {}; expected MAXABS_HW for every module",
         config.method_name);
  return *wanted;
}

IncDumpPath resolve_dump_path(const IncConfig& config, const fs::path& config_file) {
  const std::string subject = config_file.string() + ": dump_stats_path";
  if (!config.dump_stats_path)
    fail(ErrorKind::kInput, subject, "not given; expected FOLDER/PREFIX of the measurements");
  const fs::path path = *config.dump_stats_path;
  if (!path.has_parent_path() || path.filename().empty())
    fail(ErrorKind::kInput, subject, "{:?} has no {}; expected FOLDER/PREFIX",
         *config.dump_stats_path, path.has_parent_path() ? "prefix" : "folder");
  IncDumpPath result;
  result.prefix = path.filename().string();
  const fs::path folder = path.parent_path();
  const fs::path beside = fs::absolute(config_file).parent_path();
  if (folder.is_absolute()) {
    // A tree that was moved as a whole keeps the end of the path.
    result.folders.push_back(folder);
    std::vector<fs::path> parts(folder.begin(), folder.end());
    for (std::size_t skip = 1; skip <= parts.size(); ++skip) {
      fs::path end;
      for (std::size_t i = skip; i < parts.size(); ++i) end /= parts[i];
      result.folders.push_back(beside / end);
    }
  } else {
    result.folders = {beside / folder, folder};
  }
  return result;
}

}  // namespace whit::formats
