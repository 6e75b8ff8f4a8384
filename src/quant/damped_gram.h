#pragma once

#include <vector>

#include "quant/gptq.h"

namespace whit::quant {

// Hd up to the factor 2/tokens: a Gram plus what the factor's diagonal gained, a band of rows at a
// time, columns in their original order.
class DampedGram {
 public:
  static constexpr std::int64_t kBand = 128;

  DampedGram(compute::Backend& backend, const stats::Gram& gram, const Factor& factor);
  std::int64_t width() const { return gram_.width(); }
  // Rows [b, b + size), size at most kBand: valid until the next call.
  tensor::ConstMatrixView band(std::int64_t b, std::int64_t size);

 private:
  compute::Backend& backend_;
  const stats::Gram& gram_;
  std::vector<double> added_;
  tensor::Tensor band_;
};

}  // namespace whit::quant
