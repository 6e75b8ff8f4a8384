#include "formats/verify.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/error.h"
#include "checkpoint/json_file.h"
#include "formats/tally.h"
#include "formats/verify_parts.h"

namespace whit::formats {

namespace {

using checkpoint::Checkpoint;
using nlohmann::json;

// Keys that belong to a quantized weight and to nothing else.
constexpr std::array<std::string_view, 7> kCompanions{
    "weight_packed", "weight_scale", "weight_scale_inv",   "weight_zero_point",
    "weight_shape",  "weight_g_idx", "weight_global_scale"};

Check index_and_shards(const Checkpoint& written) {
  Tally tally("index and shards", "files");
  for (const auto& file : written.files()) {
    const auto format = file->metadata().find("format");
    tally.judge(format != file->metadata().end() && format->second == "pt",
                file->path().filename().string() + " has no metadata format: pt");
  }
  if (!written.has_index()) {
    if (written.files().size() > 1) tally.refuse("several shards without an index");
    return tally.check();
  }
  const json index = checkpoint::read_json_object(written.folder() / checkpoint::kIndexFile);
  const auto metadata = index.find("metadata");
  const json total = metadata != index.end() && metadata->is_object()
                         ? metadata->value("total_size", json())
                         : json();
  if (total != json(written.tensor_bytes()))
    tally.refuse(fmt::format("total_size is {}; the tensors have {} bytes", total.dump(),
                             written.tensor_bytes()));
  return tally.check();
}

// Scales without codes, and codes of an older format beside those of a newer.
Check no_leftovers(const Checkpoint& written, const PackedReader& reader) {
  Tally tally("nothing is left of another format", "tensors");
  for (const std::string& name : written.names()) {
    const auto [module, suffix] = split_name(name);
    const bool companion =
        std::find(kCompanions.begin(), kCompanions.end(), suffix) != kCompanions.end();
    const bool packed = written.has(module + ".weight_packed");
    const bool stale = (companion && !reader.is_quantized(module)) ||
                       (packed && (suffix == "weight" || suffix == "weight_scale_inv"));
    tally.judge(!stale, name);
  }
  return tally.check();
}

// vLLM takes integer tensors for quantized ones.
Check plain_tensors_are_floating(const Checkpoint& written, const PackedReader& reader) {
  Tally tally("unquantized tensors are floating", "tensors");
  for (const std::string& name : written.names()) {
    const auto tensors = reader.tensors_of(split_name(name).first);
    if (std::find(tensors.begin(), tensors.end(), name) != tensors.end()) continue;
    const auto dtype = written.info(name).dtype;
    tally.judge(numeric::is_floating(dtype),
                fmt::format("{} is {}", name, numeric::name_of(dtype)));
  }
  return tally.check();
}

// An embedding is no Linear, so no target takes it; anything else with a 2-D weight may be one.
bool may_be_linear(const Checkpoint& written, const std::string& module) {
  const std::string last = split_name(module).second;
  const std::string& own = last.empty() ? module : last;
  const bool embedding = own.find("embed") != std::string::npos || own == "wte" || own == "wpe";
  return !embedding && written.info(module + ".weight").shape.size() == 2;
}

Check ignore_list(const Checkpoint& written, const PackedReader& reader,
                  const SchemeByModule& schemes) {
  Tally tally("targets and ignore list", "modules");
  const GroupFinder finder(*reader.config());
  for (const auto& [module, scheme] : schemes) {
    const ConfigGroup* group = finder.find(module);
    if (reader.is_quantized(module)) {
      tally.judge(group != nullptr, module + " is quantized but " +
                                        (finder.ignored(module) ? "ignored" : "no target"));
    } else if (may_be_linear(written, module)) {
      tally.judge(group == nullptr, module + " is unquantized but not ignored");
    }
  }
  return tally.check();
}

// VPTQ's loaders replace what config_for_layers names, and nothing else.
Check vector_entries(const PackedReader& reader) {
  Tally tally("config_for_layers", "modules");
  const VectorModules& vectors = reader.config()->vectors;
  for (const std::string& module : reader.modules())
    tally.judge(vectors.find(module) != nullptr, module + " has no entry");
  for (const auto& [module, entry] : vectors.by_name)
    tally.judge(reader.is_quantized(module), module + " has an entry, but no indices");
  return tally.check();
}

void judge_keys(const json& object, const std::string& where, const std::set<std::string>& expected,
                Tally* tally, const std::set<std::string>& allowed = {}) {
  if (!object.is_object()) {
    tally->fail(where + " is no object");
    return;
  }
  for (const std::string& key : expected)
    tally->judge(object.contains(key), where + " lacks " + key);
  for (const auto& [key, value] : object.items())
    if (expected.count(key) + allowed.count(key) == 0) tally->fail(where + " has the key " + key);
}

// Older loaders refuse keys that they do not know; newer ones need these.
Check config_keys(const json& config) {
  const std::set<std::string> args{"num_bits",   "type",           "symmetric", "strategy",
                                   "group_size", "dynamic",        "actorder",  "block_structure",
                                   "observer",   "observer_kwargs"};
  Tally tally("keys of quantization_config", "keys");
  judge_keys(config, "quantization_config",
             {"config_groups", "format", "ignore", "kv_cache_scheme", "quant_method",
              "quantization_status"},
             &tally, {"fp8_dtype_flavor"});
  if (!config.value("ignore", json()).is_array()) tally.fail("ignore is no list");
  if (config.value("quantization_status", json()) != "compressed")
    tally.fail("quantization_status is not compressed");
  const json groups = config.value("config_groups", json::object());
  for (const auto& [name, group] : groups.items()) {
    std::set<std::string> expected{"targets", "weights", "input_activations", "output_activations"};
    if (group.contains("format")) expected.insert("format");
    judge_keys(group, name, expected, &tally);
    if (!group.is_object() || !group.contains("weights")) continue;
    judge_keys(group["weights"], name + ".weights", args, &tally);
    if (!group.value("input_activations", json()).is_null())
      judge_keys(group["input_activations"], name + ".input_activations", args, &tally);
    if (group["weights"].is_object() && !group["weights"].value("actorder", json()).is_null())
      tally.fail(name + ".weights has an actorder");
  }
  return tally.check();
}

}  // namespace

std::vector<Check> verify(const Checkpoint& written, const Checkpoint* source) {
  std::vector<Check> checks{index_and_shards(written)};
  std::optional<PackedReader> reader;
  try {
    reader.emplace(written);
    if (reader->config()) GroupFinder{*reader->config()};
  } catch (const base::Error& error) {
    if (error.kind() != base::ErrorKind::kInput) throw;
    checks.push_back({"quantization_config can be read", false, error.what()});
    return checks;
  }
  const SchemeByModule schemes = verify_modules(written, *reader, &checks);
  verify_activations(written, *reader, &checks);
  checks.push_back(verify_fused(schemes));
  checks.push_back(no_leftovers(written, *reader));
  checks.push_back(plain_tensors_are_floating(written, *reader));
  if (reader->config() && reader->config()->quant_method == "vptq")
    checks.push_back(vector_entries(*reader));
  const bool ours = reader->config() && reader->config()->quant_method == "compressed-tensors";
  if (ours) {
    checks.push_back(ignore_list(written, *reader, schemes));
    checks.push_back(config_keys(written.config().value("quantization_config", json::object())));
  } else if (!reader->config() && !reader->modules().empty()) {
    checks.push_back({"quantization_config is there", false, "none, but quantized modules"});
  }
  if (source != nullptr) verify_ledger(written, *reader, *source, &checks);
  return checks;
}

}  // namespace whit::formats
