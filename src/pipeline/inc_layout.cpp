#include "pipeline/inc_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "numeric/round_to.h"

namespace whit::pipeline {

using formats::IncMeasureExclude;
using stats::OpRanges;
using stats::OpType;
using stats::Range;
using Kind = IncNode::Kind;

namespace {

OpType op_type(const IncNode& node) {
  switch (node.kind) {
    case Kind::kLinear:
      return node.class_name == "RowParallelLinear" ? OpType::kRowParallelLinear : OpType::kLinear;
    case Kind::kMatmulQk:
    case Kind::kMatmulAv:
      return OpType::kMatmul;
    case Kind::kToBlocks:
    case Kind::kFromBlocks:
      return OpType::kBatchMatmul;
    case Kind::kKeyCache:
    case Kind::kValueCache:
    case Kind::kLatentKeyCache:
    case Kind::kLatentValueCache:
      return OpType::kKvCache;
    case Kind::kSdpa:
      return OpType::kFusedSdpa;
    case Kind::kSoftmax:
      return OpType::kSoftmax;
    case Kind::kMixture:
      return OpType::kMoe;
  }
  return OpType::kLinear;
}

Range times(Range range, double factor) {
  for (double& value : range) value *= factor;
  return range;
}

Range joined(Range first, const Range& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

}  // namespace

IncLayout::IncLayout(const model::ModelSpec& spec, bool fp8, const formats::IncConfig& config,
                     const std::string& subject, bool mtp)
    : fp8_(fp8), config_(config), selection_(config, subject) {
  for (auto& node : inc_nodes(spec, fp8, mtp)) {
    // Engines run it where attention is not fused; what it reads costs as much as attention's half.
    if (node.kind == Kind::kSoftmax && !outputs_wanted()) continue;
    if (node.kind == Kind::kMixture || selection_.selects(node.name, node.class_name))
      nodes_.push_back(std::move(node));
  }
}

bool IncLayout::selects(const IncNode& node) const {
  return selection_.selects(node.name, node.class_name);
}

bool IncLayout::selects_matrix(const IncNode& node, const char* list, std::size_t expert) const {
  return selection_.selects(fmt::format("{}.{}.{}", node.name, list, expert),
                            fp8_ ? "MoeFP8Matmul" : "MoeMatmul");
}

bool IncLayout::outputs_wanted() const {
  return config_.measure_exclude != IncMeasureExclude::kOutput &&
         config_.measure_exclude != IncMeasureExclude::kAll;
}

WantedMaxima IncLayout::wanted() const {
  WantedMaxima wanted;
  wanted.per_channel = config_.observer == "maxabs_per_channel";
  for (const IncNode& node : nodes_)
    visit(node, [&](const std::string&, const std::string&, const IncTensor& tensor) {
      want(node, tensor, wanted);
    });
  return wanted;
}

void IncLayout::want(const IncNode& node, const IncTensor& tensor, WantedMaxima& wanted) {
  using From = IncTensor::From;
  switch (tensor.from) {
    case From::kConstant:
      return;
    case From::kHidden:
      wanted.inputs.insert(tensor.linears.front()->reads);
      return;
    case From::kProducts:
      wanted.outputs.insert(tensor.linears.begin(), tensor.linears.end());
      return;
    case From::kWeights:
      wanted.weights.insert(tensor.linears.begin(), tensor.linears.end());
      return;
    case From::kOperand:
      wanted.operands.insert({node.layer->index, tensor.operand});
  }
}

void IncLayout::visit(const IncNode& node, const Visit& visit) const {
  if (node.kind != Kind::kMixture || selects(node)) {
    const IncTensors tensors = tensors_of(node, outputs_wanted());
    for (std::size_t i = 0; i < tensors.inputs.size(); ++i)
      visit(node.name, fmt::format("input{}", i), tensors.inputs[i]);
    for (std::size_t i = 0; tensors.outputs && i < tensors.outputs->size(); ++i)
      visit(node.name, fmt::format("output{}", i), (*tensors.outputs)[i]);
    if (tensors.weight) visit(node.name, "weight", *tensors.weight);
  }
  if (node.kind != Kind::kMixture) return;
  for (std::size_t e = 0; e < mixture_of(node).experts.size(); ++e)
    for (const char* list : {kExpertIn, kExpertOut})
      if (selects_matrix(node, list, e))
        visit(fmt::format("{}.{}.{}", node.name, list, e), "weight", matrix_of(node, list, e));
}

Range IncLayout::stored(Range range) const {
  for (double& value : range) {
    const auto narrow = static_cast<float>(value);
    if (config_.hp_dtype != numeric::Dtype::kF32)
      value = double{numeric::round_to(narrow, config_.hp_dtype)};
    if (!std::isfinite(value))
      base::fail(base::ErrorKind::kInput, "hp_dtype", "a maximum of {} is beyond it; expected BF16",
                 narrow);
  }
  return range;
}

Range IncLayout::range_of(const IncNode& node, const IncTensor& tensor,
                          const MaximaObserver& seen) const {
  using From = IncTensor::From;
  Range range;
  switch (tensor.from) {
    case From::kConstant:
      range = {1};
      break;
    case From::kHidden:
      range = seen.input(tensor.linears.front()->reads).range();
      break;
    case From::kProducts:
      for (const auto* linear : tensor.linears)
        range = joined(std::move(range), seen.output(*linear).range());
      break;
    case From::kWeights:
      for (const auto* linear : tensor.linears)
        range = joined(std::move(range), seen.weight(*linear).range());
      break;
    case From::kOperand:
      range = seen.operand(node.layer->index, tensor.operand).range();
  }
  if (config_.observer != "maxabs_per_channel")
    range = {*std::max_element(range.begin(), range.end())};
  return stored(times(std::move(range), tensor.factor));
}

OpRanges IncLayout::op_of(const IncNode& node, const MaximaObserver& seen) const {
  const IncTensors tensors = tensors_of(node, outputs_wanted());
  const auto ranges = [&](const std::vector<IncTensor>& list) {
    std::vector<Range> all;
    for (const auto& tensor : list) all.push_back(range_of(node, tensor, seen));
    return all;
  };
  OpRanges op;
  op.op = op_type(node);
  op.inputs = ranges(tensors.inputs);
  if (tensors.outputs) op.outputs = ranges(*tensors.outputs);
  if (tensors.weight) op.params["weight"] = range_of(node, *tensors.weight, seen);
  return op;
}

stats::MoeRanges IncLayout::moe_of(const IncNode& node, const MaximaObserver& seen) const {
  stats::MoeRanges ranges;
  std::vector<Range> intermediates;
  if (selects(node)) {
    OpRanges op = op_of(node, seen);
    intermediates.assign(op.outputs->begin() + 1, op.outputs->end());
    op.outputs->resize(1);
    ranges.slices.push_back(std::move(op));
  }
  for (std::size_t e = 0; e < mixture_of(node).experts.size(); ++e) {
    stats::ExpertRanges entry;
    if (!intermediates.empty()) entry.intermediate = std::move(intermediates[e]);
    for (const char* list : {kExpertIn, kExpertOut}) {
      if (!selects_matrix(node, list, e)) continue;
      OpRanges& op = entry.matrices[list];
      op.inputs = {Range{0}};
      op.params["weight"] = range_of(node, matrix_of(node, list, e), seen);
    }
    ranges.experts.push_back(std::move(entry));
  }
  return ranges;
}

stats::RankRanges IncLayout::ranges(const MaximaObserver& seen) const {
  stats::RankRanges ranges;
  for (const IncNode& node : nodes_) {
    if (node.kind == Kind::kMixture) {
      auto moe = moe_of(node, seen);
      const bool any = !moe.slices.empty() ||
                       std::any_of(moe.experts.begin(), moe.experts.end(),
                                   [](const auto& expert) { return !expert.matrices.empty(); });
      if (!any) continue;
      ranges.moes[node.name] = std::move(moe);
    } else {
      ranges.ops[node.name] = op_of(node, seen);
    }
    ranges.order.push_back(node.name);
  }
  return ranges;
}

std::vector<std::string> IncLayout::modules() const {
  std::vector<std::string> names;
  for (const IncNode& node : nodes_) {
    if (selects(node)) names.push_back(node.name);
    if (node.kind != Kind::kMixture) continue;
    for (const char* list : {kExpertIn, kExpertOut})
      for (std::size_t e = 0; e < mixture_of(node).experts.size(); ++e)
        if (selects_matrix(node, list, e))
          names.push_back(fmt::format("{}.{}.{}", node.name, list, e));
  }
  return names;
}

}  // namespace whit::pipeline
