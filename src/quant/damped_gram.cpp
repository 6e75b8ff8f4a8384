#include "quant/damped_gram.h"

#include <algorithm>
#include <span>

namespace whit::quant {

DampedGram::DampedGram(compute::Backend& backend, const stats::Gram& gram, const Factor& factor)
    : backend_(backend),
      gram_(gram),
      added_(factor.order.size()),
      band_(backend.memory().allocate({std::min(kBand, gram.width()), gram.width()},
                                      tensor::Dtype::kF32)) {
  const double to_gram = static_cast<double>(factor.tokens) / 2.0;
  for (std::size_t i = 0; i < factor.order.size(); ++i)
    added_[static_cast<std::size_t>(factor.order[i])] = factor.added[i] * to_gram;
}

tensor::ConstMatrixView DampedGram::band(std::int64_t b, std::int64_t size) {
  const tensor::MatrixView band = band_.matrix().rows_of(0, size);
  backend_.memory().copy(gram_.sum().rows_of(b, size), band);
  backend_.linalg().add_to_diagonal(
      band.sub(0, size, b, size), std::span<const double>(added_).subspan(
                                      static_cast<std::size_t>(b), static_cast<std::size_t>(size)));
  return band;
}

}  // namespace whit::quant
