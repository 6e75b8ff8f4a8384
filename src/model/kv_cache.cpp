#include <algorithm>

#include "base/error.h"
#include "model/forward.h"

namespace whit::model {

namespace {

constexpr std::int64_t kFirstCapacity = 64;
constexpr std::size_t kParts = 2;

}  // namespace

KvCache::KvCache(compute::Backend& backend, std::size_t layers)
    : backend_(&backend), layers_(layers) {
  for (std::vector<Part>& parts : layers_) parts.resize(kParts);
}

tensor::ConstMatrixView KvCache::append(std::size_t layer, int part, tensor::ConstMatrixView rows) {
  base::check(layer < layers_.size() && part >= 0 && part < static_cast<int>(kParts),
              "KvCache::append: layer and part");
  Part& target = layers_[layer][static_cast<std::size_t>(part)];
  const std::int64_t needed = target.used + rows.rows;
  const std::int64_t capacity = target.rows.empty() ? 0 : target.rows.matrix().rows;
  if (needed > capacity) {
    tensor::Tensor grown = backend_->memory().allocate(
        {std::max({needed, 2 * capacity, kFirstCapacity}), rows.cols}, tensor::Dtype::kF32);
    if (target.used > 0)
      backend_->memory().copy(target.rows.matrix().rows_of(0, target.used),
                              grown.matrix().rows_of(0, target.used));
    target.rows = std::move(grown);
  }
  const tensor::MatrixView all = target.rows.matrix();
  base::check(all.cols == rows.cols, "KvCache::append: width");
  backend_->memory().copy(rows, all.rows_of(target.used, rows.rows));
  target.used = needed;
  return all.rows_of(0, needed);
}

std::int64_t KvCache::length() const {
  return layers_.empty() ? 0 : layers_.front().front().used;
}

}  // namespace whit::model
