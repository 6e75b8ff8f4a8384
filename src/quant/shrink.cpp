#include "quant/shrink.h"

#include <utility>

#include "base/error.h"

namespace whit::quant {

namespace {

// `own` and so many tokens' worth of the layer's sum.
template <typename Sum>
Sum with_layer(compute::Backend& backend, const Sum& own, const Sum& layer, std::int64_t count) {
  const tensor::ConstMatrixView from = own.sum();
  tensor::Tensor sum = backend.memory().allocate({from.rows, from.cols}, tensor::Dtype::kF32);
  backend.memory().copy(from, sum.matrix());
  if (count > 0) {
    const double share = static_cast<double>(count) / static_cast<double>(layer.tokens());
    backend.linalg().scale_add(1.0F, sum.matrix(), static_cast<float>(share), layer.sum());
  }
  return Sum(backend, std::move(sum), own.tokens() + count);
}

}  // namespace

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
  return with_layer(backend, own, layer, count);
}

stats::CrossGram shrink_cross(compute::Backend& backend, const stats::CrossGram& own,
                              const stats::CrossGram& layer, std::int64_t count) {
  base::check(own.sum().rows == layer.sum().rows && own.sum().cols == layer.sum().cols,
              "shrink_cross: widths");
  base::check(count >= 0 && (count == 0 || layer.tokens() > 0), "shrink_cross: tokens");
  return with_layer(backend, own, layer, count);
}

}  // namespace whit::quant
