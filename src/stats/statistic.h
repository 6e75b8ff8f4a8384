#pragma once

#include <cstdint>
#include <span>

#include "comm/communicator.h"
#include "compute/backend.h"
#include "stats/site.h"

namespace whit::stats {

// Sum of x xᵀ over tokens: [K,K] F32 on the backend's device. Statistics are commutative sums with
// a token count; after freeze() they never change.
class Gram {
 public:
  Gram(compute::Backend& backend, std::int64_t width);
  // A frozen Gram from a sum made elsewhere: F32 [K,K] on the backend's device.
  Gram(compute::Backend& backend, tensor::Tensor sum, std::int64_t tokens);

  // Folds in the rows of x[T, width]; row_weights: empty, or T weights.
  void observe(tensor::ConstMatrixView x, std::span<const float> row_weights = {});
  // Adds another Gram of the same width.
  void merge(const Gram& other);
  void freeze() { frozen_ = true; }
  bool frozen() const { return frozen_; }

  std::int64_t width() const { return width_; }
  std::int64_t tokens() const { return tokens_; }
  tensor::ConstMatrixView sum() const;

 private:
  compute::Backend* backend_;
  std::int64_t width_;
  std::int64_t tokens_ = 0;
  bool frozen_ = false;
  tensor::Tensor sum_;
};

// Sees the hidden states that a forward passes by. The forward never changes for it.
class Tap {
 public:
  virtual ~Tap() = default;
  // x [T, width]; row_weights: empty, or the router's weight of each row.
  virtual void observe(const TapId& id, tensor::ConstMatrixView x,
                       std::span<const float> row_weights) = 0;
};

}  // namespace whit::stats
