#pragma once

#include <cstdint>
#include <utility>

#include "compute/backend.h"

namespace whit::stats {

// Sum of y xᵀ over tokens, y and x two hidden states of the same tokens: F32 [y width, x width] on
// the backend's device. A sum with a token count, like Gram, and merged like one.
class CrossGram {
 public:
  CrossGram(compute::Backend& backend, std::int64_t y_width, std::int64_t x_width);
  // From a sum made elsewhere: F32 [y_width, x_width] on the backend's device.
  CrossGram(compute::Backend& backend, tensor::Tensor sum, std::int64_t tokens)
      : backend_(&backend), tokens_(tokens), sum_(std::move(sum)) {}

  // Folds in the rows of y[T, y_width] and x[T, x_width].
  void observe(tensor::ConstMatrixView y, tensor::ConstMatrixView x);
  void merge(const CrossGram& other);

  std::int64_t tokens() const { return tokens_; }
  tensor::ConstMatrixView sum() const { return sum_.matrix(); }

 private:
  compute::Backend* backend_;
  std::int64_t tokens_ = 0;
  tensor::Tensor sum_;
};

}  // namespace whit::stats
