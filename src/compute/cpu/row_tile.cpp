#include "compute/cpu/row_tile.h"

namespace whit::compute::cpu {

namespace {

// 16 x 16 floats from rows of `in` into columns of `out`, or back.
WHIT_MULTIVERSION void transpose_square(const float* in, std::int64_t in_stride, float* out,
                                        std::int64_t out_stride) {
  Floats rows[kLanes];
  for (int i = 0; i < kLanes; ++i) load(in + i * in_stride, rows[i]);
  transpose(rows);
  for (int i = 0; i < kLanes; ++i) store(rows[i], out + i * out_stride);
}

// in[rows, cols] -> out[cols, rows].
void transpose_matrix(const float* in, std::int64_t in_stride, std::int64_t rows, std::int64_t cols,
                      float* out, std::int64_t out_stride) {
  const std::int64_t whole_rows = rows / kLanes * kLanes;
  const std::int64_t whole_cols = cols / kLanes * kLanes;
  for (std::int64_t r = 0; r < whole_rows; r += kLanes)
    for (std::int64_t c = 0; c < whole_cols; c += kLanes)
      transpose_square(in + r * in_stride + c, in_stride, out + c * out_stride + r, out_stride);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = r < whole_rows ? whole_cols : 0; c < cols; ++c)
      out[c * out_stride + r] = in[r * in_stride + c];
}

WHIT_MULTIVERSION void narrow(const float* codes, std::int8_t* out, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i)
    out[i] = static_cast<std::int8_t>(static_cast<int>(codes[i]));
}

WHIT_MULTIVERSION void widen(const std::int8_t* codes, float* out, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) out[i] = static_cast<float>(codes[i]);
}

}  // namespace

Slots::Slots(std::span<const std::int32_t> column_group, std::int64_t group_count)
    : of_column(column_group.size()) {
  std::vector<std::int32_t> slot(static_cast<std::size_t>(group_count), -1);
  for (std::size_t k = 0; k < column_group.size(); ++k) {
    std::int32_t& at = slot[static_cast<std::size_t>(column_group[k])];
    if (at < 0) {
      at = static_cast<std::int32_t>(groups.size());
      groups.push_back(column_group[k]);
    }
    of_column[k] = at;
  }
}

void load_tile(ConstMatrixView m, float* out) {
  transpose_matrix(m.row<float>(0), m.stride, m.rows, m.cols, out, kRows);
}

void store_rows(const float* tile, MatrixView m) {
  transpose_matrix(tile, kRows, m.cols, m.rows, m.row<float>(0), m.stride);
}

void load_codes(ConstMatrixView codes, float* work, float* out) {
  for (std::int64_t r = 0; r < codes.rows; ++r)
    widen(codes.row<std::int8_t>(r), work + r * codes.cols, codes.cols);
  transpose_matrix(work, codes.cols, codes.rows, codes.cols, out, kRows);
}

void store_codes(const float* tile, float* work, MatrixView codes) {
  transpose_matrix(tile, kRows, codes.cols, codes.rows, work, codes.cols);
  for (std::int64_t r = 0; r < codes.rows; ++r)
    narrow(work + r * codes.cols, codes.row<std::int8_t>(r), codes.cols);
}

void load_groups(ConstMatrixView m, const Slots& slots, float* out) {
  for (std::size_t s = 0; s < slots.groups.size(); ++s)
    for (std::int64_t r = 0; r < m.rows; ++r)
      out[static_cast<std::int64_t>(s) * kRows + r] = m.row<float>(r)[slots.groups[s]];
}

}  // namespace whit::compute::cpu
