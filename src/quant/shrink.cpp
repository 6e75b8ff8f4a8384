#include "quant/shrink.h"

#include <utility>

#include "base/error.h"

namespace whit::quant {

std::int64_t shrink_count(std::int64_t tokens, std::int64_t width) {
  constexpr std::int64_t kEnough = 4;  // tokens a dimension
  base::check(tokens >= 0 && width > 0, "shrink_count: arguments");
  if (tokens >= kEnough * width) return 0;
  return (kEnough * width - tokens + kEnough / 2) / kEnough;
}

stats::Gram shrink_gram(compute::Backend& backend, const stats::Gram& own, const stats::Gram& layer,
                        std::int64_t count) {
  base::check(own.width() == layer.width(), "shrink_gram: width");
  base::check(layer.tokens() > 0 && count > 0, "shrink_gram: tokens of the layer");
  tensor::Tensor sum = backend.memory().allocate({own.width(), own.width()}, tensor::Dtype::kF32);
  const double share = static_cast<double>(count) / static_cast<double>(layer.tokens());
  backend.memory().copy(own.sum(), sum.matrix());
  backend.linalg().scale_add(1.0F, sum.matrix(), static_cast<float>(share), layer.sum());
  return stats::Gram(backend, std::move(sum), own.tokens() + count);
}

stats::CrossGram shrink_cross(compute::Backend& backend, const stats::CrossGram& own,
                              const stats::CrossGram& layer, std::int64_t count) {
  const tensor::ConstMatrixView from = own.sum();
  base::check(from.rows == layer.sum().rows && from.cols == layer.sum().cols,
              "shrink_cross: widths");
  base::check(count >= 0 && (count == 0 || layer.tokens() > 0), "shrink_cross: tokens");
  tensor::Tensor sum = backend.memory().allocate({from.rows, from.cols}, tensor::Dtype::kF32);
  backend.memory().copy(from, sum.matrix());
  if (count > 0)
    backend.linalg().scale_add(
        1.0F, sum.matrix(),
        static_cast<float>(static_cast<double>(count) / static_cast<double>(layer.tokens())),
        layer.sum());
  return stats::CrossGram(backend, std::move(sum), own.tokens() + count);
}

}  // namespace whit::quant
