#include "formats/inc_scales.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "formats/inc_measurement.h"

namespace whit::formats {

namespace {

using base::ErrorKind;
using base::fail;

IncTree tree_of(const IncScale& scale) {
  if (scale.values.empty()) return {};
  if (scale.list) return {IncArray{{scale.values.size()}, scale.values}};
  return {IncArray{{}, scale.values}};
}

IncTree tree_of(const std::vector<IncScale>& scales) {
  IncTree::List list;
  for (const auto& scale : scales) list.push_back(tree_of(scale));
  return {std::move(list)};
}

IncScale read_scale(const IncTree& tree, const std::string& subject) {
  if (tree.is_none()) return {};
  IncScale scale;
  scale.values = numbers_of(tree, subject);
  const auto* array = tree.array();
  scale.list = tree.list() != nullptr || (array != nullptr && !array->shape.empty());
  for (const double value : scale.values)
    if (!std::isfinite(value) || value < 0)
      fail(ErrorKind::kInput, subject, "{}; expected a finite scale, 0 or more", value);
  if (!scale.list && scale.values.size() != 1)
    fail(ErrorKind::kInput, subject, "{} numbers; expected one", scale.values.size());
  return scale;
}

std::vector<IncScale> read_scales(const IncTree& tree, const std::string& subject) {
  std::vector<IncScale> scales;
  // A single array stands for a list of one tensor.
  if (tree.array() != nullptr) return {read_scale(tree, subject)};
  if (tree.list() == nullptr)
    fail(ErrorKind::kInput, subject, "{}; expected a list of scales", tree.kind());
  for (const auto& entry : *tree.list()) scales.push_back(read_scale(entry, subject));
  return scales;
}

void read_params(const IncTree& params, IncModuleScales& scales, const std::string& subject) {
  if (params.dict() == nullptr)
    fail(ErrorKind::kInput, subject, "{}; expected params by name", params.kind());
  for (const auto& [name, value] : *params.dict()) {
    const std::string place = subject + ": " + name;
    if (name != "weight") fail(ErrorKind::kInput, place, "an unknown param; expected weight");
    if (value.dict() == nullptr) {
      scales.weight = read_scale(value, place);
      continue;
    }
    const IncTree* out = value.find("0");
    const IncTree* in = value.find("1");
    if (out == nullptr || in == nullptr || value.dict()->size() != 2)
      fail(ErrorKind::kInput, place, "other keys; expected 0, of output channels, and 1");
    scales.weight = read_scale(*out, place);
    scales.weight_in = read_scale(*in, place);
  }
}

IncModuleScales read_module(const std::string& module, const IncTree& node,
                            const std::string& subject) {
  IncModuleScales scales;
  scales.module = module;
  if (node.dict() == nullptr)
    fail(ErrorKind::kInput, subject, "{}; expected inputs, outputs and params", node.kind());
  for (const auto& [key, value] : *node.dict()) {
    const std::string place = subject + ": " + key;
    if (key == "inputs" || key == "input")
      scales.inputs = read_scales(value, place);
    else if (key == "outputs" || key == "output")
      scales.outputs = read_scales(value, place);
    else if (key == "params")
      read_params(value, scales, place);
    else
      fail(ErrorKind::kInput, place, "an unknown key; expected inputs, outputs or params");
  }
  return scales;
}

}  // namespace

IncTree to_tree(const IncScaleFile& file) {
  IncTree::Dict nodes;
  for (const auto& module : file.modules) {
    IncTree::Dict params;
    if (module.weight && module.weight_in) {
      IncTree::Dict weight;
      weight.emplace_back("0", tree_of(*module.weight));
      weight.emplace_back("1", tree_of(*module.weight_in));
      params.emplace_back("weight", IncTree{std::move(weight)});
    } else if (module.weight) {
      params.emplace_back("weight", tree_of(*module.weight));
    }
    IncTree::Dict node;
    node.emplace_back("inputs", tree_of(module.inputs));
    node.emplace_back("outputs", tree_of(module.outputs));
    node.emplace_back("params", IncTree{std::move(params)});
    nodes.emplace_back(module.module, IncTree{std::move(node)});
  }
  IncTree::Dict top;
  top.emplace_back("GlobalRank", IncTree{});
  top.emplace_back("LocalRank", file.local_rank ? IncTree{*file.local_rank} : IncTree{});
  top.emplace_back("Mode", IncTree{std::string("Scale")});
  top.emplace_back("Nodes", IncTree{std::move(nodes)});
  return {std::move(top)};
}

IncScaleFile read_scale_file(const IncTree& tree, const std::string& subject) {
  IncScaleFile file;
  const IncTree* mode = tree.find("Mode");
  const IncTree* nodes = tree.find("Nodes");
  if (mode == nullptr || mode->text() == nullptr || *mode->text() != "Scale")
    fail(ErrorKind::kInput, subject + ": Mode", "no file of scales; expected Scale");
  if (nodes == nullptr || nodes->dict() == nullptr)
    fail(ErrorKind::kInput, subject, "no Nodes; expected modules by name");
  if (const auto* rank = tree.find("LocalRank"))
    if (const auto* number = std::get_if<std::int64_t>(&rank->value)) file.local_rank = *number;
  for (const auto& [module, node] : *nodes->dict())
    file.modules.push_back(read_module(module, node, subject + ": " + module));
  return file;
}

}  // namespace whit::formats
