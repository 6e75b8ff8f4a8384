#include "stats/cross_gram.h"

#include <algorithm>

#include "base/error.h"

namespace whit::stats {

namespace {

// Rows summed before they are added to the total, as for Gram: long fp32 sums lose precision.
constexpr std::int64_t kChunkRows = 1024;

}  // namespace

CrossGram::CrossGram(compute::Backend& backend, std::int64_t y_width, std::int64_t x_width)
    : backend_(&backend),
      sum_(backend.memory().allocate({y_width, x_width}, tensor::Dtype::kF32)) {}

void CrossGram::observe(tensor::ConstMatrixView y, tensor::ConstMatrixView x) {
  base::check(y.rows == x.rows, "both hidden states are of the same tokens");
  for (std::int64_t row = 0; row < x.rows; row += kChunkRows) {
    const std::int64_t rows = std::min(kChunkRows, x.rows - row);
    backend_->linalg().gemm(1.0F, y.rows_of(row, rows), compute::Transpose::kYes,
                            x.rows_of(row, rows), compute::Transpose::kNo, 1.0F, sum_.matrix());
  }
  tokens_ += x.rows;
}

void CrossGram::merge(const CrossGram& other) {
  backend_->linalg().scale_add(1.0F, sum_.matrix(), 1.0F, other.sum());
  tokens_ += other.tokens_;
}

}  // namespace whit::stats
