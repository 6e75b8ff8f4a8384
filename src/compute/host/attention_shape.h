#pragma once

#include <cstdint>

#include "compute/backend.h"

namespace whit::compute::host {

// Head h of a view as a matrix of its own: every row, `dim` columns.
inline ConstMatrixView head_of(const HeadView& view, std::int64_t head) {
  return view.data.sub(0, view.data.rows, view.first_col + head * view.head_stride, view.dim);
}

// Throws kBug where the views of one attention do not fit together.
void check_attention(const AttentionArgs& args, ConstMatrixView out);

// The same for its gradient.
void check_attention_gradient(const AttentionArgs& args, ConstMatrixView out_gradient,
                              const AttentionGradients& out);

// Throws kBug where a norm's rows, their gradient and the result differ in extents.
void check_norm_gradient(ConstMatrixView x, ConstMatrixView out_gradient, ConstMatrixView out);

// First key that the query at `position` may see.
inline std::int64_t first_visible(std::int64_t position, std::int64_t window) {
  return window > 0 && position + 1 > window ? position + 1 - window : 0;
}

}  // namespace whit::compute::host
