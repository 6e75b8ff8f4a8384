#include "model/inventory.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/checked.h"
#include "base/error.h"
#include "model/arch.h"
#include "model/arch/fields.h"

namespace whit::model {

using base::ErrorKind;
using checkpoint::Checkpoint;
using tensor::Dtype;

namespace {

constexpr std::int64_t kDefaultBlock = 128;

bool same_bytes(const Checkpoint& checkpoint, const std::string& a, const std::string& b) {
  const auto& left = checkpoint.info(a);
  const auto& right = checkpoint.info(b);
  if (left.dtype != right.dtype || left.shape != right.shape) return false;
  const auto x = checkpoint.view(a).raw();
  const auto y = checkpoint.view(b).raw();
  const bool same = std::equal(x.begin(), x.end(), y.begin(), y.end());
  checkpoint.release(a);
  checkpoint.release(b);
  return same;
}

void resolve_head(ModelSpec& spec, const Checkpoint& checkpoint) {
  const std::string stored = spec.head_module + ".weight";
  if (checkpoint.has(stored))
    spec.tied = spec.tied && checkpoint.has(spec.embedding.weight()) &&
                same_bytes(checkpoint, stored, spec.embedding.weight());
  else
    spec.tied = !checkpoint.has(stored + "_packed");
  spec.head.module = spec.tied ? spec.embedding.module : spec.head_module;
}

void resolve_mtp(ModelSpec& spec, const Checkpoint& checkpoint) {
  std::set<int> stored;
  for (const TensorSpec& tensor : inventory(spec))
    if (checkpoint.has(tensor.name)) stored.insert(tensor.layer);
  std::erase_if(spec.mtp_layers,
                [&](const LayerSpec& layer) { return !stored.contains(layer.index); });
  for (LayerSpec& layer : spec.mtp_layers) {
    MtpSpec& mtp = *layer.mtp;
    if (mtp.head && !checkpoint.has(mtp.head->weight())) mtp.head.reset();
    if (mtp.embedding && !checkpoint.has(mtp.embedding->weight())) mtp.embedding.reset();
  }
}

// The block of quantization_config.weight_block_size.
std::pair<std::int64_t, std::int64_t> block_of(const nlohmann::json& config) {
  const auto stated = config.find("quantization_config");
  if (stated == config.end() || !stated->is_object()) return {kDefaultBlock, kDefaultBlock};
  const auto block = stated->find("weight_block_size");
  if (block == stated->end() || block->is_null()) return {kDefaultBlock, kDefaultBlock};
  const auto extent = [](const nlohmann::json& value) {
    return value.is_number_integer() && value >= 1 && value <= (1 << 20);
  };
  if (!block->is_array() || block->size() != 2 || !extent(block->at(0)) || !extent(block->at(1)))
    base::fail(ErrorKind::kInput, "config.json: quantization_config.weight_block_size",
               "found {}; expected two whole numbers", block->dump().substr(0, 80));
  return {block->at(0).get<std::int64_t>(), block->at(1).get<std::int64_t>()};
}

void check_block_grid(const Checkpoint& checkpoint, const ScaleGrid& grid,
                      const tensor::Shape& weight) {
  const tensor::Shape expected{base::ceil_div(weight[0], grid.block_rows),
                               base::ceil_div(weight[1], grid.block_cols)};
  const tensor::Shape& found = checkpoint.info(grid.name).shape;
  if (found.size() != 2 || found[0] < expected[0] || found[1] < expected[1])
    base::fail(ErrorKind::kInput, grid.name, "shape {}; expected {} for blocks of {} x {} over {}",
               tensor::to_string(found), tensor::to_string(expected), grid.block_rows,
               grid.block_cols, tensor::to_string(weight));
}

ScaleGrid plain_grid(const Checkpoint& checkpoint, const std::string& name,
                     const tensor::Shape& weight) {
  const tensor::Shape& found = checkpoint.info(name).shape;
  if (tensor::element_count(found) == 1) return {name, weight[0], weight[1]};
  const bool per_row =
      !found.empty() && found[0] == weight[0] && tensor::element_count(found) == weight[0];
  if (per_row) return {name, 1, weight[1]};
  base::fail(ErrorKind::kInput, name, "shape {}; expected one scale, or one for each of {} rows",
             tensor::to_string(found), weight[0]);
}

// Scales of what a linear in FP8 reads, under the two names that they have.
void add_input_scales(const Checkpoint& checkpoint, const std::string& weight,
                      InventoryReport& report) {
  const std::string module = weight.substr(0, weight.rfind('.'));
  for (const char* suffix : {".input_scale", ".input_scale_inv"})
    if (const std::string name = module + suffix; checkpoint.has(name))
      report.companions[name] = weight;
}

void check_stored(const Checkpoint& checkpoint, const TensorSpec& spec, InventoryReport& report) {
  const checkpoint::TensorInfo& info = checkpoint.info(spec.name);
  if (info.shape != spec.shape)
    base::fail(ErrorKind::kInput, spec.name, "shape {}; expected {}", tensor::to_string(info.shape),
               tensor::to_string(spec.shape));
  switch (info.dtype) {
    case Dtype::kF32:
    case Dtype::kBF16:
    case Dtype::kF16:
      return;
    case Dtype::kF8E4M3:
      if (spec.shape.size() == 2) {
        report.companions[scale_grid_of(checkpoint, spec.name).name] = spec.name;
        add_input_scales(checkpoint, spec.name, report);
        return;
      }
      [[fallthrough]];
    default:
      base::fail(ErrorKind::kUnsupported, spec.name,
                 "stored as {}; expected F32, BF16, F16, or F8_E4M3 with scales",
                 numeric::name_of(info.dtype));
  }
}

bool ends_with_any(std::string_view name, const std::vector<std::string>& suffixes) {
  return std::any_of(suffixes.begin(), suffixes.end(),
                     [&](const std::string& suffix) { return name.ends_with(suffix); });
}

}  // namespace

void resolve_names(ModelSpec& spec, const Checkpoint& checkpoint) {
  const std::string full = spec.embedding.weight();
  const bool prefixed = !spec.base_prefix.empty() && full.starts_with(spec.base_prefix);
  if (prefixed && !checkpoint.has(full) && checkpoint.has(full.substr(spec.base_prefix.size())))
    strip_base_prefix(spec);
  for (const std::string& alias : spec.head_aliases)
    if (!checkpoint.has(spec.head_module + ".weight") && checkpoint.has(alias + ".weight"))
      spec.head_module = alias;
  if (!spec.tied) spec.head.module = spec.head_module;
}

void resolve_stored(ModelSpec& spec, const Checkpoint& checkpoint) {
  resolve_names(spec, checkpoint);
  resolve_head(spec, checkpoint);
  resolve_mtp(spec, checkpoint);
}

ModelSpec load_spec(const Checkpoint& checkpoint) {
  ModelSpec spec = spec_from_config(checkpoint.config());
  resolve_stored(spec, checkpoint);
  return spec;
}

ScaleGrid scale_grid_of(const Checkpoint& checkpoint, const std::string& weight) {
  const tensor::Shape& shape = checkpoint.info(weight).shape;
  if (shape.size() != 2)
    base::fail(ErrorKind::kInput, weight, "FP8 of shape {}; expected a matrix",
               tensor::to_string(shape));
  const std::string inverse = weight + "_scale_inv";
  if (checkpoint.has(inverse)) {
    const auto [rows, cols] = block_of(checkpoint.config());
    if (tensor::element_count(checkpoint.info(inverse).shape) == 1)
      return plain_grid(checkpoint, inverse, shape);
    ScaleGrid grid{inverse, rows, cols};
    check_block_grid(checkpoint, grid, shape);
    return grid;
  }
  const std::string plain = weight + "_scale";
  if (checkpoint.has(plain)) return plain_grid(checkpoint, plain, shape);
  base::fail(ErrorKind::kInput, weight, "F8_E4M3 without scales; expected {} or {}", inverse,
             plain);
}

InventoryReport check_inventory(const ModelSpec& spec, const Checkpoint& checkpoint) {
  InventoryReport report;
  std::set<std::string, std::less<>> known;
  for (TensorSpec& tensor : inventory(spec)) {
    if (checkpoint.has(tensor.name))
      check_stored(checkpoint, tensor, report);
    else if (!tensor.optional)
      base::fail(ErrorKind::kInput, tensor.name, "missing; expected a tensor of shape {}",
                 tensor::to_string(tensor.shape));
    known.insert(std::move(tensor.name));
  }
  for (std::string& name : checkpoint.names()) {
    if (known.contains(name) || report.companions.contains(name)) continue;
    (ends_with_any(name, spec.ignored_buffers) ? report.ignorable : report.unknown)
        .push_back(std::move(name));
  }
  return report;
}

}  // namespace whit::model
