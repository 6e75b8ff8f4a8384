#include "report/inspect.h"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "base/error.h"
#include "base/memory.h"
#include "formats/format.h"
#include "model/arch.h"
#include "model/inventory.h"
#include "model/spec.h"

namespace whit::report {

namespace {

constexpr std::string_view kWeight = ".weight";

std::string module_of(const std::string& weight) {
  const std::string_view name = weight;
  return name.ends_with(kWeight) ? weight.substr(0, weight.size() - kWeight.size()) : weight;
}

// Roles of every tensor of the file, those that accompany a quantized weight included.
using Roles = std::map<std::string, std::string, std::less<>>;

void add_companions(const formats::PackedReader& packed, const model::TensorSpec& tensor,
                    Roles& roles) {
  const std::string module = module_of(tensor.name);
  const std::string role(model::name_of(tensor.role));
  if (packed.is_quantized(module))
    for (const auto& name : packed.tensors_of(module))
      roles.emplace(name, role + name.substr(module.size()));
}

Roles roles_of(const checkpoint::Checkpoint& checkpoint, Inspection& inspection) {
  Roles roles;
  auto spec = model::spec_from_config(checkpoint.config());
  model::resolve_names(spec, checkpoint);
  const formats::PackedReader packed(checkpoint);
  for (const std::string& name : packed.cache_tensors()) roles.emplace(name, "kv_cache.scale");
  for (const auto& tensor : model::inventory(spec)) {
    const bool stored = checkpoint.has(tensor.name);
    if (!stored && !packed.is_quantized(module_of(tensor.name))) {
      if (tensor.optional) continue;
      base::fail(base::ErrorKind::kInput, tensor.name, "no such tensor in {}; expected {}",
                 checkpoint.folder().string(), tensor::to_string(tensor.shape));
    }
    inspection.parameters += tensor::element_count(tensor.shape);
    if (stored) roles.emplace(tensor.name, model::name_of(tensor.role));
    add_companions(packed, tensor, roles);
  }
  return roles;
}

void count_stored_elements(const checkpoint::Checkpoint& checkpoint, Inspection& inspection) {
  for (const auto& name : checkpoint.names())
    inspection.parameters += tensor::element_count(checkpoint.info(name).shape);
}

}  // namespace

Inspection inspect(const checkpoint::Checkpoint& checkpoint) {
  Inspection inspection;
  const auto& config = checkpoint.config();
  if (config.is_object()) {
    inspection.architecture = config.value("model_type", "");
    if (const auto it = config.find("quantization_config"); it != config.end())
      inspection.quantization = *it;
  }
  Roles roles;
  try {
    roles = roles_of(checkpoint, inspection);
  } catch (const base::Error& error) {
    if (error.kind() != base::ErrorKind::kUnsupported) throw;
    inspection.note = error.what();
    inspection.parameters = 0;
    count_stored_elements(checkpoint, inspection);
  }
  for (const auto& name : checkpoint.names()) {
    const auto& info = checkpoint.info(name);
    const auto role = roles.find(name);
    inspection.tensors.push_back({name, std::string(numeric::name_of(info.dtype)), info.shape,
                                  info.bytes, checkpoint.file_of(name).path().filename().string(),
                                  role == roles.end() ? "" : role->second});
    inspection.bytes += info.bytes;
  }
  if (inspection.parameters > 0)
    inspection.bits_per_weight =
        8.0 * static_cast<double>(inspection.bytes) / static_cast<double>(inspection.parameters);
  return inspection;
}

Json to_json(const Inspection& inspection) {
  Json json{{"architecture", inspection.architecture},
            {"parameters", inspection.parameters},
            {"bytes", inspection.bytes}};
  if (inspection.bits_per_weight) {
    json["bits_per_weight"] = *inspection.bits_per_weight;
  } else {
    json["bits_per_weight"] = nullptr;
    json["bits_per_weight_reason"] = "the checkpoint holds no parameters";
  }
  json["quantization"] = Json(inspection.quantization);
  if (!inspection.note.empty()) json["note"] = inspection.note;
  json["tensors"] = Json::array();
  for (const auto& t : inspection.tensors) {
    Json entry{{"name", t.name},
               {"dtype", t.dtype},
               {"shape", t.shape},
               {"bytes", t.bytes},
               {"file", t.file}};
    entry["role"] = t.role.empty() ? Json(nullptr) : Json(t.role);
    json["tensors"].push_back(std::move(entry));
  }
  return json;
}

std::string to_text(const Inspection& inspection) {
  struct Sum {
    std::int64_t tensors = 0, elements = 0;
    std::uint64_t bytes = 0;
  };
  std::map<std::pair<std::string, std::string>, Sum> sums;  // role, dtype
  for (const auto& t : inspection.tensors) {
    auto& sum = sums[{t.role.empty() ? "(unknown)" : t.role, t.dtype}];
    ++sum.tensors;
    sum.elements += tensor::element_count(t.shape);
    sum.bytes += t.bytes;
  }
  std::string out = fmt::format("{:<32}{:<10}{:>9}{:>16}{:>14}\n", "role", "dtype", "tensors",
                                "elements", "size");
  for (const auto& [key, sum] : sums)
    out += fmt::format("{:<32}{:<10}{:>9}{:>16}{:>14}\n", key.first, key.second, sum.tensors,
                       sum.elements, base::format_bytes(sum.bytes));
  out += fmt::format("\narchitecture     {}\nparameters       {}\nsize             {}\n",
                     inspection.architecture.empty() ? "(no config.json)" : inspection.architecture,
                     inspection.parameters, base::format_bytes(inspection.bytes));
  if (inspection.bits_per_weight)
    out += fmt::format("bits per weight  {:.3f}\n", *inspection.bits_per_weight);
  const auto& q = inspection.quantization;
  out +=
      fmt::format("quantization     {}\n",
                  q.is_object() ? q.value("quant_method", q.contains("fp8_config") ? "inc" : "?") +
                                      (q.contains("format") && q["format"].is_string()
                                           ? ", " + q["format"].get<std::string>()
                                           : "")
                                : "none");
  if (!inspection.note.empty()) out += fmt::format("note             {}\n", inspection.note);
  return out;
}

Json architectures_json() {
  Json list = Json::array();
  for (const auto& info : model::architectures())
    list.push_back({{"model_type", info.model_type}, {"models", info.models}});
  return {{"architectures", std::move(list)}};
}

std::string architectures_text() {
  std::string out = fmt::format("{:<16}{}\n", "model_type", "models");
  for (const auto& info : model::architectures())
    out += fmt::format("{:<16}{}\n", info.model_type, info.models);
  return out;
}

}  // namespace whit::report
