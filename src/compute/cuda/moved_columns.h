#pragma once

#include <cstddef>
#include <optional>

#include "compute/cuda/context.h"
#include "compute/cuda/product.h"

namespace whit::compute::cuda {

// What later columns of a block aim at, moved by the earlier ones as these are done.
class MovedColumns {
 public:
  // at_once: columns that need no copy, as nothing is ever moved behind them.
  MovedColumns(const Context& context, ConstMatrixView from, std::int64_t at_once)
      : context_(context), view_(from) {
    if (from.cols <= at_once) return;
    copy_.emplace(context, from.rows * from.cols);
    moved_ = {reinterpret_cast<std::byte*>(copy_->data()),
              from.dtype,
              from.rows,
              from.cols,
              from.cols,
              from.device};
    copy_matrix(context, from, moved_);
    view_ = moved_;
  }
  // Everything behind columns [first, first + by.cols) += factor * by * their rows of `between`.
  void advance(std::int64_t first, float factor, ConstMatrixView by, ConstMatrixView between) {
    const std::int64_t behind = first + by.cols;
    const std::int64_t rest = view_.cols - behind;
    if (rest > 0)
      multiply(context_, Product::kExact, factor, by, Transpose::kNo,
               between.sub(first, by.cols, behind, rest), Transpose::kNo, 1.0F,
               moved_.sub(0, moved_.rows, behind, rest));
  }
  ConstMatrixView columns(std::int64_t first, std::int64_t size) const {
    return view_.sub(0, view_.rows, first, size);
  }

 private:
  const Context& context_;
  ConstMatrixView view_;
  MatrixView moved_;
  std::optional<Temporary<float>> copy_;
};

}  // namespace whit::compute::cuda
