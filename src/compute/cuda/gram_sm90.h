#pragma once

#include "compute/cuda/context.h"

namespace whit::compute::cuda {

// g += xᵀx on GPUs of compute capability 9.0, the whole matrix kept symmetric. x: BF16 [rows,
// stride], its first g.rows columns; stride a multiple of 8. Sums reach fp32 every 1,024 rows.
void add_gram_sm90(const Context& context, const std::uint16_t* x, std::int64_t rows,
                   std::int64_t stride, MatrixView g);

}  // namespace whit::compute::cuda
