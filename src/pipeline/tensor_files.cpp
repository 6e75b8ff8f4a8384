#include "pipeline/tensor_files.h"

#include <fmt/format.h>

#include <fstream>
#include <utility>

#include "base/error.h"
#include "formats/torch_file.h"
#include "tensor/rounded.h"

namespace whit::pipeline {

namespace {

// Nothing depends on these being there after a crash: many small files are not synced one by one.
void write_dump(const std::filesystem::path& file, const std::string& bytes) {
  std::ofstream out(file, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) base::fail(base::ErrorKind::kResource, file.string(), "cannot be written");
}

}  // namespace

void TensorFiles::take(const ObservedTensor& seen) {
  shapes_[seen.module][seen.slot] = seen.shape;
  if (!saves()) return;
  tensor::Tensor value = tensor::make_rounded(seen.shape, seen.values, dtype_);
  const auto file = folder_ / fmt::format("{}_{}_iter{}.pt", seen.module, seen.slot, seen.sequence);
  write_dump(file, formats::write_torch_tensor(value, file.string()));
  if (!seen.linears.empty()) save_module(seen, std::move(value));
}

void TensorFiles::save_module(const ObservedTensor& seen, tensor::Tensor weight) const {
  formats::TorchEntries state;
  state.emplace("weight", std::move(weight));
  std::vector<float> bias;
  bool any = false;
  for (const auto* linear : seen.linears) {
    const auto handle = weights_.bias(*linear);
    any = any || handle != nullptr;
    const auto size = static_cast<std::size_t>(linear->out_features);
    if (handle == nullptr) {
      bias.resize(bias.size() + size);
      continue;
    }
    const auto values = tensor::to_f32_vector(handle->view());
    bias.insert(bias.end(), values.begin(), values.end());
  }
  if (any)
    state.emplace("bias",
                  tensor::make_rounded({static_cast<std::int64_t>(bias.size())}, bias, dtype_));
  const auto file = folder_ / (seen.module + "_module.pt");
  write_dump(file, formats::write_torch_dict(state, file.string()));
}

formats::IncArray TensorFiles::noted(const std::string& module, const std::string& slot,
                                     const IncTensor& tensor) const {
  if (saves()) return {{1, 1}, {0}};
  formats::IncArray array;
  const auto& slots = shapes_.at(module);
  if (const auto shape = slots.find(slot); shape != slots.end())
    array.values.assign(shape->second.begin(), shape->second.end());
  else
    array.values = {tensor.from == IncTensor::From::kConstant ? 1.0 : 0.0};
  array.shape = {1, array.values.size()};
  return array;
}

std::vector<formats::IncObserved> TensorFiles::nodes(const IncLayout& layout) const {
  std::vector<formats::IncObserved> all;
  for (const IncNode& node : layout.nodes()) {
    if (shapes_.contains(node.name)) {
      formats::IncObserved& observed = all.emplace_back();
      observed.module = node.name;
      const IncTensors tensors = tensors_of(node, layout.outputs_wanted());
      for (std::size_t i = 0; i < tensors.inputs.size(); ++i)
        observed.inputs.push_back(noted(node.name, fmt::format("input{}", i), tensors.inputs[i]));
      for (std::size_t i = 0; tensors.outputs && i < tensors.outputs->size(); ++i)
        observed.outputs.push_back(
            noted(node.name, fmt::format("output{}", i), (*tensors.outputs)[i]));
      if (tensors.weight) observed.weight = noted(node.name, "weight", *tensors.weight);
    }
    if (node.kind != IncNode::Kind::kMixture) continue;
    for (const char* list : {kExpertIn, kExpertOut})
      for (std::size_t e = 0; e < mixture_of(node).experts.size(); ++e) {
        const std::string module = fmt::format("{}.{}.{}", node.name, list, e);
        if (!shapes_.contains(module)) continue;
        // Engines call it with a number, for the sake of being seen.
        all.push_back({module,
                       {noted(module, "input0", {})},
                       {},
                       noted(module, "weight", matrix_of(node, list, e))});
      }
  }
  return all;
}

}  // namespace whit::pipeline
