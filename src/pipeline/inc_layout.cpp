#include "pipeline/inc_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "numeric/round_to.h"
#include "pipeline/plan.h"

namespace whit::pipeline {

using formats::IncMeasureExclude;
using model::LinearSpec;
using stats::OpRanges;
using stats::OpType;
using stats::Range;
using Kind = IncNode::Kind;

namespace {

// What a 0/1 mapping reaches, and a probability: the first query of a sequence sees one key only.
const Range kOne{1};

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
    case Kind::kMixture:
      return OpType::kMoe;
  }
  return OpType::kLinear;
}

const LinearSpec& output_linear(const model::LayerSpec& layer) {
  return std::visit([](const auto& attention) -> const LinearSpec& { return attention.o; },
                    layer.attention);
}

double scale_of(const model::LayerSpec& layer) {
  return std::visit([](const auto& attention) { return double{attention.scale}; }, layer.attention);
}

const model::MoeSpec& mixture_of(const IncNode& node) {
  return std::get<model::MoeSpec>(node.layer->mlp);
}

// What the operands of the products are: with a latent cache, the latent's.
Operand query_of(const model::LayerSpec& layer) {
  return caches_latent(layer) ? Operand::kAbsorbedQuery : Operand::kQuery;
}
Operand key_of(const model::LayerSpec& layer) {
  return caches_latent(layer) ? Operand::kLatentKey : Operand::kKey;
}
Operand value_of(const model::LayerSpec& layer) {
  return caches_latent(layer) ? Operand::kLatentValue : Operand::kValue;
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
                     const std::string& subject)
    : fp8_(fp8), config_(config), selection_(config, subject) {
  for (auto& node : inc_nodes(spec, fp8))
    if (node.kind == Kind::kMixture || selection_.selects(node.name, node.class_name))
      nodes_.push_back(std::move(node));
}

bool IncLayout::selects(const IncNode& node) const {
  return selection_.selects(node.name, node.class_name);
}

bool IncLayout::selects_matrix(const IncNode& node, const char* list, std::size_t expert) const {
  return selection_.selects(fmt::format("{}.{}.{}", node.name, list, expert),
                            fp8_ ? "MoeFP8Matmul" : "MoeMatmul");
}

bool IncLayout::outputs_wanted(const IncNode& node) const {
  return op_type(node) == OpType::kRowParallelLinear ||
         (config_.measure_exclude != IncMeasureExclude::kOutput &&
          config_.measure_exclude != IncMeasureExclude::kAll);
}

WantedMaxima IncLayout::wanted() const {
  WantedMaxima wanted;
  wanted.per_channel = config_.observer == "maxabs_per_channel";
  for (const IncNode& node : nodes_) want(node, wanted);
  return wanted;
}

void IncLayout::want(const IncNode& node, WantedMaxima& wanted) const {
  const auto add = [&](Operand operand) { wanted.operands.insert({node.layer->index, operand}); };
  switch (node.kind) {
    case Kind::kLinear:
      wanted.inputs.insert(node.linears.front()->reads);
      for (const auto* linear : node.linears) {
        wanted.weights.insert(linear);
        if (outputs_wanted(node)) wanted.outputs.insert(linear);
      }
      break;
    case Kind::kMatmulQk:
      add(query_of(*node.layer));
      return add(key_of(*node.layer));
    case Kind::kMatmulAv:
      add(value_of(*node.layer));
      if (outputs_wanted(node)) wanted.inputs.insert(output_linear(*node.layer).reads);
      break;
    case Kind::kToBlocks:
      return add(query_of(*node.layer));
    case Kind::kFromBlocks:
      if (caches_latent(*node.layer)) return add(Operand::kLatentValue);
      wanted.inputs.insert(output_linear(*node.layer).reads);
      break;
    case Kind::kKeyCache:
      return add(Operand::kKey);
    case Kind::kValueCache:
      return add(Operand::kValue);
    case Kind::kLatentKeyCache:
      return add(Operand::kLatentKey);
    case Kind::kLatentValueCache:
      return add(Operand::kLatentValue);
    case Kind::kSdpa:
      for (const auto each : {Operand::kQuery, Operand::kKey, Operand::kValue}) add(each);
      wanted.inputs.insert(output_linear(*node.layer).reads);
      break;
    case Kind::kMixture: {
      const auto& moe = mixture_of(node);
      if (selects(node)) {
        add(Operand::kMixture);
        wanted.inputs.insert(moe.router.weight.reads);
        for (const auto& expert : moe.experts) wanted.inputs.insert(expert.down.reads);
      }
      for (std::size_t e = 0; e < moe.experts.size(); ++e) {
        if (selects_matrix(node, kExpertIn, e))
          for (const auto& linear : moe.experts[e].in) wanted.weights.insert(&linear);
        if (selects_matrix(node, kExpertOut, e)) wanted.weights.insert(&moe.experts[e].down);
      }
    }
  }
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

void IncLayout::read_linear(const IncNode& node, const MaximaObserver& seen, OpRanges& op) const {
  op.inputs = {seen.input(node.linears.front()->reads).range()};
  Range weight, output;
  for (const auto* linear : node.linears) {
    weight = joined(std::move(weight), seen.weight(*linear).range());
    output = joined(std::move(output), seen.output(*linear).range());
  }
  const auto whole = [&](Range range) {
    if (config_.observer == "maxabs_per_channel") return range;
    return Range{*std::max_element(range.begin(), range.end())};
  };
  op.params["weight"] = whole(std::move(weight));
  if (!outputs_wanted(node)) return;
  op.outputs = {whole(std::move(output))};
  // One process has all parts of the sum.
  if (op.op == OpType::kRowParallelLinear) op.outputs->push_back(op.outputs->front());
}

void IncLayout::read_attention(const IncNode& node, const MaximaObserver& seen,
                               OpRanges& op) const {
  const auto& layer = *node.layer;
  const auto range = [&](Operand operand) { return seen.operand(layer.index, operand).range(); };
  const auto result = [&] { return seen.input(output_linear(layer).reads).range(); };
  switch (node.kind) {
    case Kind::kMatmulQk:
      op.inputs = {times(range(query_of(layer)), scale_of(layer)), range(key_of(layer))};
      break;
    case Kind::kMatmulAv:
      op.inputs = {kOne, range(value_of(layer))};
      if (outputs_wanted(node) && !caches_latent(layer)) op.outputs = {result()};
      break;
    case Kind::kToBlocks:
      op.inputs = {kOne, times(range(query_of(layer)), scale_of(layer))};
      op.outputs = {op.inputs[1]};
      break;
    case Kind::kFromBlocks:
      // Results are means of cached rows: the latent's are no larger than those.
      op.inputs = {kOne, caches_latent(layer) ? range(Operand::kLatentValue) : result()};
      op.outputs = {op.inputs[1]};
      break;
    case Kind::kKeyCache:
      op.inputs = {range(Operand::kKey)};
      break;
    case Kind::kValueCache:
      op.inputs = {range(Operand::kValue)};
      break;
    case Kind::kLatentKeyCache:
      op.inputs = {range(Operand::kLatentKey)};
      break;
    case Kind::kLatentValueCache:
      op.inputs = {range(Operand::kLatentValue)};
      break;
    case Kind::kSdpa:
      op.inputs = {range(Operand::kQuery), range(Operand::kKey), range(Operand::kValue)};
      op.outputs = {result(), kOne};
      break;
    case Kind::kLinear:
    case Kind::kMixture:
      base::check(false, "not of an attention");
  }
  if (op.op == OpType::kKvCache && outputs_wanted(node)) op.outputs = {op.inputs.front()};
}

OpRanges IncLayout::op_of(const IncNode& node, const MaximaObserver& seen) const {
  OpRanges op;
  op.op = op_type(node);
  if (node.kind == Kind::kLinear)
    read_linear(node, seen, op);
  else
    read_attention(node, seen, op);
  for (auto& range : op.inputs) range = stored(std::move(range));
  if (op.outputs)
    for (auto& range : *op.outputs) range = stored(std::move(range));
  for (auto& [name, range] : op.params) range = stored(std::move(range));
  return op;
}

stats::MoeRanges IncLayout::moe_of(const IncNode& node, const MaximaObserver& seen) const {
  const auto& moe = mixture_of(node);
  stats::MoeRanges ranges;
  const bool served = selects(node);
  if (served) {
    OpRanges op;
    op.op = OpType::kMoe;
    op.inputs = {stored(seen.input(moe.router.weight.reads).range())};
    op.outputs = {stored(seen.operand(node.layer->index, Operand::kMixture).range())};
    ranges.slices.push_back(std::move(op));
  }
  const auto matrix = [&](Range weight) {
    OpRanges op;
    op.inputs = {Range{0}};
    op.params["weight"] = stored(std::move(weight));
    return op;
  };
  for (std::size_t e = 0; e < moe.experts.size(); ++e) {
    const auto& expert = moe.experts[e];
    stats::ExpertRanges entry;
    if (served) entry.intermediate = stored(seen.input(expert.down.reads).range());
    if (selects_matrix(node, kExpertIn, e)) {
      Range weight;
      for (const auto& linear : expert.in)
        weight = joined(std::move(weight), seen.weight(linear).range());
      if (config_.observer != "maxabs_per_channel")
        weight = {*std::max_element(weight.begin(), weight.end())};
      entry.matrices[kExpertIn] = matrix(std::move(weight));
    }
    if (selects_matrix(node, kExpertOut, e))
      entry.matrices[kExpertOut] = matrix(seen.weight(expert.down).range());
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
