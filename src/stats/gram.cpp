#include <utility>

#include "base/error.h"
#include "stats/statistic.h"

namespace whit::stats {

Gram::Gram(compute::Backend& backend, std::int64_t width)
    : backend_(&backend),
      width_(width),
      sum_(backend.memory().allocate({width, width}, tensor::Dtype::kF32)) {}

Gram::Gram(compute::Backend& backend, tensor::Tensor sum, std::int64_t tokens)
    : backend_(&backend),
      width_(sum.matrix().rows),
      tokens_(tokens),
      frozen_(true),
      sum_(std::move(sum)) {
  base::check(sum_.matrix().cols == width_ && sum_.dtype() == tensor::Dtype::kF32,
              "Gram: a square F32 sum");
}

void Gram::observe(tensor::ConstMatrixView x, std::span<const float> row_weights) {
  base::check(!frozen_, "Gram::observe after freeze");
  base::check(x.cols == width_, "Gram::observe: width");
  if (x.rows == 0) return;
  backend_->linalg().gram(x, row_weights, sum_.matrix());
  tokens_ += x.rows;
}

void Gram::merge(const Gram& other) {
  base::check(!frozen_, "Gram::merge after freeze");
  base::check(other.width_ == width_, "Gram::merge: width");
  backend_->linalg().scale_add(1.0F, sum_.matrix(), 1.0F, other.sum());
  tokens_ += other.tokens_;
}

tensor::ConstMatrixView Gram::sum() const {
  return sum_.matrix();
}

}  // namespace whit::stats
