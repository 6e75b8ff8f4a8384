#include "pipeline/ranks.h"

#include <algorithm>
#include <cstring>
#include <memory>

namespace whit::pipeline {

namespace {

template <typename Value>
std::vector<Value> everyones(const Ranks& ranks, Value value) {
  if (!ranks.several()) return {value};
  std::vector<Value> values;
  for (const auto& bytes : ranks.communicator().all_gather_v(std::as_bytes(std::span(&value, 1)))) {
    values.emplace_back();
    std::memcpy(&values.back(), bytes.data(), sizeof(Value));
  }
  return values;
}

}  // namespace

float Ranks::largest(float value) const {
  const auto values = everyones(*this, value);
  return *std::max_element(values.begin(), values.end());
}

std::int64_t Ranks::least(std::int64_t value) const {
  const auto values = everyones(*this, value);
  return *std::min_element(values.begin(), values.end());
}

model::WeightHandle Ranks::broadcast(int root, const model::WeightHandle& weight,
                                     const tensor::Shape& shape, compute::Backend& backend) const {
  if (!several()) return weight;
  tensor::Tensor host = rank() == root ? backend.memory().download(weight->view())
                                       : tensor::Tensor(shape, tensor::Dtype::kF32);
  communicator_->broadcast(root, {host.data(), static_cast<std::size_t>(host.bytes())});
  if (rank() == root) return weight;
  return std::make_shared<const tensor::Tensor>(backend.memory().upload(host.view()));
}

}  // namespace whit::pipeline
