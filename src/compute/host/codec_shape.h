#pragma once

#include <cstdint>

#include "compute/backend.h"

namespace whit::compute::host {

// Shape checks of Codec's functions; a mismatch between a caller's matrices is kBug, a scale grid
// that is too small for its codes kInput.
void check_scale_grid(ConstMatrixView codes, ConstMatrixView scales, std::int64_t block_rows,
                      std::int64_t block_cols);
void check_grouped(const scheme::GroupedInt& weight, ConstMatrixView out);
// Blocks of [R,R] one below the other beside `rows` rows; data == nullptr: none.
void check_row_blocks(ConstMatrixView blocks, std::int64_t rows);
void check_sweep(const SweepArgs& args, ConstMatrixView t0, ConstMatrixView t,
                 ConstMatrixView codes, ConstMatrixView error);
void check_descent(const DescentArgs& args, ConstMatrixView gradient, ConstMatrixView codes,
                   ConstMatrixView error);

}  // namespace whit::compute::host
