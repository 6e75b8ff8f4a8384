#include "runtime/convert.h"

#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/json_file.h"
#include "formats/format.h"
#include "model/inventory.h"
#include "numeric/float_codec.h"
#include "pipeline/carry_over.h"
#include "runtime/weights.h"

namespace whit::runtime {

namespace {

namespace fs = std::filesystem;
using base::ErrorKind;
using tensor::Dtype;
using Entry = checkpoint::SafetensorsWriter::Entry;

constexpr std::string_view kWeight = ".weight";

// One tensor of the output.
struct Item {
  Entry entry;
  bool decode = false;  // a quantized weight; else a tensor of the source, cast
};

// Companions of quantized weights, by name; and the quantized weights with their logical shapes.
struct Quantized {
  std::map<std::string, tensor::Shape, std::less<>> weights;
  std::set<std::string, std::less<>> companions;
};

Quantized quantized_of(const checkpoint::Checkpoint& checkpoint,
                       const std::vector<model::TensorSpec>& inventory) {
  const formats::PackedReader packed(checkpoint);
  Quantized found;
  for (std::string& name : packed.cache_tensors()) found.companions.insert(std::move(name));
  for (const auto& tensor : inventory) {
    if (!std::string_view(tensor.name).ends_with(kWeight)) continue;
    const std::string module = tensor.name.substr(0, tensor.name.size() - kWeight.size());
    if (!packed.is_quantized(module)) continue;
    found.weights.emplace(tensor.name, tensor.shape);
    for (const auto& name : packed.tensors_of(module)) found.companions.insert(name);
  }
  return found;
}

std::vector<Item> items_of(const checkpoint::Checkpoint& checkpoint, Dtype dtype) {
  const auto inventory = model::inventory(model::load_spec(checkpoint));
  const auto quantized = quantized_of(checkpoint, inventory);
  std::set<std::string, std::less<>> exact;  // stay F32
  for (const auto& tensor : inventory)
    if (tensor.role == model::Role::kRouterBias) exact.insert(tensor.name);

  std::map<std::string, Item> items;
  for (const auto& [name, shape] : quantized.weights) items[name] = {{name, dtype, shape}, true};
  for (const auto& name : checkpoint.names()) {
    if (items.contains(name) || quantized.companions.contains(name)) continue;
    const auto& info = checkpoint.info(name);
    const bool cast =
        numeric::is_floating(info.dtype) && !(exact.contains(name) && info.dtype == Dtype::kF32);
    items[name] = {{name, cast ? dtype : info.dtype, info.shape}, false};
  }
  std::vector<Item> sorted;
  for (auto& [name, item] : items) sorted.push_back(std::move(item));
  return sorted;
}

// Runs of items that share a file.
std::vector<std::vector<Item>> shards_of(std::vector<Item> items, std::uint64_t limit) {
  std::vector<std::vector<Item>> shards(1);
  std::uint64_t used = 0;
  for (auto& item : items) {
    const std::uint64_t bytes = tensor::byte_size(item.entry.shape, item.entry.dtype);
    if (used > 0 && used + bytes > limit) {
      shards.emplace_back();
      used = 0;
    }
    used += bytes;
    shards.back().push_back(std::move(item));
  }
  return shards;
}

tensor::Tensor cast_f32(const tensor::TensorView& f32, const Entry& entry) {
  tensor::Tensor out(entry.shape, entry.dtype);
  const auto count = static_cast<std::size_t>(f32.elements());
  const auto* from = reinterpret_cast<const float*>(f32.data);
  if (entry.dtype == Dtype::kF32) {
    std::memcpy(out.data(), f32.data, count * sizeof(float));
    return out;
  }
  auto* to = out.as<std::uint16_t>();
  if (entry.dtype == Dtype::kBF16) {
    for (std::size_t i = 0; i < count; ++i) to[i] = numeric::f32_to_bf16(from[i]);
    return out;
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (std::abs(from[i]) > 65504.0F)
      base::fail(ErrorKind::kInput, entry.name, "a value of {}; expected at most 65504 for f16",
                 from[i]);
    to[i] = numeric::f32_to_f16(from[i]);
  }
  return out;
}

class Converter {
 public:
  Converter(const checkpoint::Checkpoint& checkpoint, compute::Backend& backend)
      : checkpoint_(checkpoint),
        backend_(backend),
        weights_(make_stored_weights(checkpoint, backend)) {}

  void write(const Item& item, checkpoint::SafetensorsWriter& writer) {
    if (item.decode) {
      writer.write(item.entry.name, cast_f32(decoded(item).view(), item.entry).view());
      return;
    }
    const auto view = checkpoint_.view(item.entry.name);
    if (view.dtype == item.entry.dtype)
      writer.write(item.entry.name, view);
    else
      writer.write(item.entry.name, cast_f32(widened(view).view(), item.entry).view());
    checkpoint_.release(item.entry.name);
  }

 private:
  tensor::Tensor decoded(const Item& item) {
    model::LinearSpec linear;
    linear.module = item.entry.name.substr(0, item.entry.name.size() - kWeight.size());
    linear.out_features = item.entry.shape[0];
    linear.in_features = item.entry.shape[1];
    return backend_.memory().download(weights_->linear(linear)->view());
  }
  static tensor::Tensor widened(const tensor::TensorView& view) {
    return tensor::make_f32(view.shape, tensor::to_f32_vector(view));
  }

  const checkpoint::Checkpoint& checkpoint_;
  compute::Backend& backend_;
  std::unique_ptr<model::WeightSource> weights_;
};

std::string_view torch_name(Dtype dtype) {
  return dtype == Dtype::kF32 ? "float32" : dtype == Dtype::kBF16 ? "bfloat16" : "float16";
}

void write_config(const checkpoint::Checkpoint& checkpoint, const ConvertArgs& args) {
  auto config = checkpoint::read_ordered_json_object(checkpoint.folder() / "config.json");
  config.erase("quantization_config");
  config[config.contains("dtype") ? "dtype" : "torch_dtype"] = torch_name(args.dtype);
  base::write_file_atomic(args.output / "config.json", config.dump(2) + "\n");
}

void remove_model_files(const fs::path& folder) {
  fs::remove(folder / "config.json");  // no reader takes the folder for whole from here on
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json"))
      files.push_back(entry.path());
  }
  for (const auto& file : files) fs::remove(file);
}

void prepare_output(const checkpoint::Checkpoint& checkpoint, const ConvertArgs& args) {
  std::error_code ignored;
  if (fs::equivalent(checkpoint.folder(), args.output, ignored))
    base::fail(ErrorKind::kUsage, args.output.string(),
               "is the model itself; expected another folder for the output");
  if (fs::exists(args.output) && !fs::is_empty(args.output)) {
    if (!args.overwrite)
      throw base::Error(ErrorKind::kUsage, args.output.string(),
                        "is not empty; expected a new folder")
          .suggest("name another folder, or pass --overwrite");
    remove_model_files(args.output);
  }
  base::ensure_writable_directory(args.output);
}

}  // namespace

ConvertResult convert(const checkpoint::Checkpoint& checkpoint, const ConvertArgs& args,
                      compute::Backend& backend, base::EventSink& events,
                      const base::CancelToken& cancel) {
  auto items = items_of(checkpoint, args.dtype);
  ConvertResult result;
  result.tensors = static_cast<std::int64_t>(items.size());
  for (const auto& item : items) {
    result.bytes += tensor::byte_size(item.entry.shape, item.entry.dtype);
    result.decoded += item.decode ? 1 : 0;
  }
  prepare_output(checkpoint, args);

  Converter converter(checkpoint, backend);
  const auto shards = shards_of(std::move(items), args.shard_bytes);
  nlohmann::ordered_json index{{"metadata", {{"total_size", result.bytes}}}};
  std::int64_t done = 0;
  for (std::size_t s = 0; s < shards.size(); ++s) {
    const std::string name =
        shards.size() == 1 ? "model.safetensors"
                           : fmt::format("model-{:05}-of-{:05}.safetensors", s + 1, shards.size());
    std::vector<Entry> entries;
    for (const auto& item : shards[s]) entries.push_back(item.entry);
    checkpoint::SafetensorsWriter writer(args.output / name, std::move(entries));
    for (const auto& item : shards[s]) {
      cancel.throw_if_cancelled();
      converter.write(item, writer);
      index["weight_map"][item.entry.name] = name;
      events.emit({"progress",
                   {{"stage", std::string("convert")},
                    {"done", ++done},
                    {"total", result.tensors},
                    {"unit", std::string("tensors")}}});
    }
    writer.finish();
  }
  if (shards.size() > 1)
    base::write_file_atomic(args.output / std::string(checkpoint::kIndexFile),
                            index.dump(2) + "\n");
  pipeline::carry_over_files(checkpoint.folder(), args.output);
  write_config(checkpoint, args);
  return result;
}

}  // namespace whit::runtime
