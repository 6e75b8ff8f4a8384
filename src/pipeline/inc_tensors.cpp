#include "pipeline/inc_tensors.h"

#include <string_view>

#include "pipeline/plan.h"

namespace whit::pipeline {

using From = IncTensor::From;
using Kind = IncNode::Kind;

namespace {

double scale_of(const model::LayerSpec& layer) {
  return std::visit([](const auto& attention) { return double{attention.scale}; }, layer.attention);
}

IncTensor one() {
  return {};
}
IncTensor hidden(const model::LinearSpec& reader) {
  return {From::kHidden, {&reader}, {}, 1};
}
IncTensor operand(Operand which, double factor = 1) {
  return {From::kOperand, {}, which, factor};
}

// What the operands of the products are: with a latent cache, the latent's.
IncTensor scaled_query(const model::LayerSpec& layer) {
  return operand(caches_latent(layer) ? Operand::kAbsorbedQuery : Operand::kQuery, scale_of(layer));
}
IncTensor key_of(const model::LayerSpec& layer) {
  return operand(caches_latent(layer) ? Operand::kLatentKey : Operand::kKey);
}
IncTensor value_of(const model::LayerSpec& layer) {
  return operand(caches_latent(layer) ? Operand::kLatentValue : Operand::kValue);
}

IncTensors linear_tensors(const IncNode& node, bool outputs) {
  IncTensors tensors;
  tensors.inputs = {hidden(*node.linears.front())};
  tensors.weight = {From::kWeights, node.linears, {}, 1};
  const IncTensor products{From::kProducts, node.linears, {}, 1};
  // One process has all parts of a sum over ranks.
  if (node.class_name == "RowParallelLinear")
    tensors.outputs = {products, products};
  else if (outputs)
    tensors.outputs = {products};
  return tensors;
}

IncTensors cache_tensors(Operand which, bool outputs) {
  IncTensors tensors;
  tensors.inputs = {operand(which)};
  if (outputs) tensors.outputs = tensors.inputs;
  return tensors;
}

IncTensors mixture_tensors(const IncNode& node) {
  const auto& moe = mixture_of(node);
  IncTensors tensors;
  tensors.inputs = {hidden(moe.router.weight)};
  tensors.outputs = {operand(Operand::kMixture)};
  for (const auto& expert : moe.experts) tensors.outputs->push_back(hidden(expert.down));
  return tensors;
}

}  // namespace

const model::LinearSpec& output_linear(const model::LayerSpec& layer) {
  return std::visit([](const auto& attention) -> const model::LinearSpec& { return attention.o; },
                    layer.attention);
}

const model::MoeSpec& mixture_of(const IncNode& node) {
  return std::get<model::MoeSpec>(node.layer->mlp);
}

IncTensors tensors_of(const IncNode& node, bool outputs) {
  if (node.kind == Kind::kLinear) return linear_tensors(node, outputs);
  if (node.kind == Kind::kMixture) return mixture_tensors(node);
  const auto& layer = *node.layer;
  const IncTensor result = hidden(output_linear(layer));
  IncTensors tensors;
  switch (node.kind) {
    case Kind::kMatmulQk:
      tensors.inputs = {scaled_query(layer), key_of(layer)};
      if (outputs) tensors.outputs = {operand(Operand::kScores)};
      break;
    case Kind::kSoftmax:
      tensors.inputs = {operand(Operand::kLogits)};
      tensors.outputs = {operand(Operand::kProbabilities)};
      break;
    case Kind::kMatmulAv:
      tensors.inputs = {operand(Operand::kProbabilities), value_of(layer)};
      if (outputs && !caches_latent(layer)) tensors.outputs = {result};
      break;
    case Kind::kToBlocks:
      tensors.inputs = {one(), scaled_query(layer)};
      tensors.outputs = {scaled_query(layer)};
      break;
    case Kind::kFromBlocks:
      // Results are means of cached rows: the latent's are no larger than those.
      tensors.inputs = {one(), caches_latent(layer) ? value_of(layer) : result};
      tensors.outputs = {tensors.inputs[1]};
      break;
    case Kind::kKeyCache:
      return cache_tensors(Operand::kKey, outputs);
    case Kind::kValueCache:
      return cache_tensors(Operand::kValue, outputs);
    case Kind::kLatentKeyCache:
      return cache_tensors(Operand::kLatentKey, outputs);
    case Kind::kLatentValueCache:
      return cache_tensors(Operand::kLatentValue, outputs);
    case Kind::kSdpa:
      tensors.inputs = {operand(Operand::kQuery), operand(Operand::kKey), operand(Operand::kValue)};
      // The maximum of the probabilities.
      tensors.outputs = {result, one()};
      break;
    case Kind::kLinear:
    case Kind::kMixture:
      break;
  }
  return tensors;
}

IncTensor matrix_of(const IncNode& node, const char* list, std::size_t expert) {
  const auto& one = mixture_of(node).experts[expert];
  IncTensor tensor{From::kWeights, {}, {}, 1};
  if (std::string_view(list) == kExpertOut) {
    tensor.linears = {&one.down};
  } else {
    for (const auto& linear : one.in) tensor.linears.push_back(&linear);
  }
  return tensor;
}

}  // namespace whit::pipeline
