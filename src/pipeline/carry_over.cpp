#include "pipeline/carry_over.h"

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "formats/format.h"

namespace whit::pipeline {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

namespace {

// Files that describe or hold the weights of the source and would lie about the output's.
bool stays_behind(const std::string& name) {
  constexpr std::array<std::string_view, 9> kWeightSuffixes{
      ".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx", ".partial"};
  constexpr std::array<std::string_view, 6> kNames{"config.json",
                                                   "quantization_config.json",
                                                   "model.safetensors.index.json",
                                                   "pytorch_model.bin.index.json",
                                                   "quantize_config.json",
                                                   "hf_quant_config.json"};
  if (name.starts_with(".")) return true;
  if (std::find(kNames.begin(), kNames.end(), name) != kNames.end()) return true;
  return std::any_of(kWeightSuffixes.begin(), kWeightSuffixes.end(),
                     [&](std::string_view suffix) { return name.ends_with(suffix); });
}

// Of a model with several chat templates; the only folder within a checkpoint that loaders read.
const fs::path kTemplates = "additional_chat_templates";

}  // namespace

std::vector<std::string> carry_over_files(const fs::path& from, const fs::path& to) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(from)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file() && !stays_behind(name)) names.push_back(name);
  }
  const fs::path templates = from / kTemplates;
  if (fs::is_directory(templates)) {
    base::ensure_writable_directory(to / kTemplates);
    for (const auto& entry : fs::directory_iterator(templates))
      if (entry.is_regular_file() && entry.path().extension() == ".jinja")
        names.push_back((kTemplates / entry.path().filename()).string());
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    base::AtomicFile out(to / name);
    out.write(base::MappedFile(from / name).bytes());
    out.commit();
  }
  return names;
}

void write_index(const Plan& plan, const fs::path& folder) {
  std::map<std::string, std::string> shard_of;
  std::uint64_t total = 0;
  for (const auto& shard : plan.shards)
    for (const auto& tensor : shard.tensors) {
      shard_of[tensor.entry.name] = shard.file;
      total += tensor::byte_size(tensor.entry.shape, tensor.entry.dtype);
    }
  ordered_json index{{"metadata", {{"total_size", total}}}, {"weight_map", ordered_json::object()}};
  for (const auto& [name, file] : shard_of) index["weight_map"][name] = file;
  base::write_file_atomic(folder / "model.safetensors.index.json", index.dump(2) + "\n");
}

formats::QuantizationConfig quantization_of(const Plan& plan) {
  const Recipe& recipe = plan.bound.recipe;
  formats::QuantizationConfig quantization =
      formats::uniform_config(recipe.format, plan.bound.scheme(), plan.bound.ignore);
  quantization.gaudi2_codes =
      recipe.method == Method::kFp8 && recipe.fp8.target.device == scheme::Fp8Device::kGaudi2;
  quantization.e5m2 = recipe.fp8.target.format == scheme::Fp8Format::kE5M2;
  quantization.scale_method = plan.bound.scale_method;
  if (recipe.fp8.kv_cache)
    quantization.kv_cache = {
        8, scheme::NumberType::kFloat, true, scheme::Strategy::kTensor, 0, 0, 0, false};
  for (const auto* layers : {&plan.spec.layers, &plan.spec.mtp_layers})
    for (const auto& layer : *layers)
      for (const auto* linear : model::linears_of(layer))
        if (const auto found = plan.bound.vectors.find(linear->module);
            found != plan.bound.vectors.end())
          quantization.vectors.by_name.emplace(
              linear->module, formats::VectorModule{linear->out_features, linear->in_features,
                                                    linear->bias, found->second});
  return quantization;
}

std::string config_text(const Plan& plan, const checkpoint::Checkpoint& source) {
  // Parsed anew, in an ordered type: the file keeps the order of its author.
  ordered_json config = ordered_json::parse(base::read_text_file(source.folder() / "config.json"));
  for (const char* key : {"quantization_config", "compression_config"}) config.erase(key);
  config["quantization_config"] = formats::to_json(quantization_of(plan));
  return config.dump(2) + "\n";
}

void write_inc_config(const Plan& plan, const fs::path& folder) {
  if (plan.bound.recipe.format != formats::WeightFormat::kInc) return;
  base::write_file_atomic(folder / "quantization_config.json",
                          formats::to_json(quantization_of(plan)).dump(2) + "\n");
}

}  // namespace whit::pipeline
