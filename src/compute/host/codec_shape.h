#pragma once

#include <cmath>
#include <cstdint>

#include "compute/backend.h"

namespace whit::compute::host {

// Shape checks of Codec's functions; a mismatch between a caller's matrices is kBug, a scale grid
// that is too small for its codes kInput.
void check_scale_grid(ConstMatrixView codes, ConstMatrixView scales, std::int64_t block_rows,
                      std::int64_t block_cols);
// A code's type and limit: F8_E4M3 up to 448, F8_E5M2 up to 57344.
void check_float8(tensor::Dtype dtype, float limit);
// Columns of a row that share one scale.
std::int64_t piece_of(const scheme::Float8Rounding& rounding, std::int64_t cols);
// What encode_scaled_fp8 is given; scales must be F32.
void check_encoding(ConstMatrixView x, ConstMatrixView scales, std::int64_t block_rows,
                    std::int64_t block_cols, float limit, ConstMatrixView codes);

// Blocks over a matrix, ragged at its edges.
struct BlockGrid {
  BlockGrid(ConstMatrixView x, std::int64_t block_rows, std::int64_t block_cols);
  // Columns of a block of column c.
  std::int64_t width(std::int64_t c) const;
  std::int64_t rows = 0, cols = 0;
  std::int64_t block_cols = 0, matrix_cols = 0;
};

// Of magnitudes; NaN counts as the largest.
inline float larger(float a, float b) {
  return std::isnan(a) || a > b ? a : b;
}

// What narrow is given: F32 and BF16 of the same extents.
void check_narrow(ConstMatrixView x, ConstMatrixView out);
void check_grouped(const scheme::GroupedInt& weight, ConstMatrixView out);
// Blocks of [R,R] one below the other beside `rows` rows; data == nullptr: none.
void check_row_blocks(ConstMatrixView blocks, std::int64_t rows);
void check_sweep(const SweepArgs& args, ConstMatrixView t0, ConstMatrixView t,
                 ConstMatrixView codes, ConstMatrixView error);
void check_descent(const DescentArgs& args, ConstMatrixView gradient, ConstMatrixView codes,
                   ConstMatrixView error);

}  // namespace whit::compute::host
