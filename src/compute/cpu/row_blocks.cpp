#include "compute/cpu/row_blocks.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "compute/cpu/multiversion.h"
#include "compute/cpu/parallel.h"
#include "compute/cpu/row_tile.h"
#include "compute/host/codec_shape.h"

namespace whit::compute::cpu {

namespace {

// A block of rows, stored column by column: entry [k * rows + i].
struct Block {
  std::int64_t rows, columns;
  ConstMatrixView between_rows;     // [rows, rows]
  ConstMatrixView between_columns;  // [columns, columns]
  ConstMatrixView scales;           // [rows, groups]
  std::span<const std::int32_t> column_group;
  Range range;
};

WHIT_INLINE void add_multiple(float factor, const float* in, float* inout, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) inout[i] += factor * in[i];
}

WHIT_INLINE float nearest(float value, Range range) {
  const float inside = std::min(std::max(value, range.lo), range.hi);
  return (inside + kRound) - kRound;
}

void columns_of(ConstMatrixView m, float* out) {
  for (std::int64_t i = 0; i < m.rows; ++i)
    for (std::int64_t k = 0; k < m.cols; ++k) out[k * m.rows + i] = m.row<float>(i)[k];
}

// feedback: of the blocks before; target: work, [rows]; weight: t0 on entry, the error on return.
WHIT_MULTIVERSION void sweep_one(const Block& b, ConstMatrixView zeros, float* feedback,
                                 float* target, float* weight, MatrixView codes) {
  for (std::int64_t k = 0; k < b.columns; ++k) {
    float* own = feedback + k * b.rows;
    float* w = weight + k * b.rows;
    const std::int32_t group = b.column_group[static_cast<std::size_t>(k)];
    for (std::int64_t i = 0; i < b.rows; ++i) target[i] = w[i] + own[i];
    for (std::int64_t i = 0; i < b.rows; ++i) {
      const float scale = b.scales.row<float>(i)[group];
      const float zero = zeros.data == nullptr ? 0.0F : zeros.row<float>(i)[group];
      const float step = nearest(target[i] / scale, {b.range.lo - zero, b.range.hi - zero});
      codes.row<std::int8_t>(i)[k] = static_cast<std::int8_t>(step + zero);
      w[i] -= step * scale;
      add_multiple(own[i] + w[i], b.between_rows.row<float>(i) + i + 1, target + i + 1,
                   b.rows - i - 1);
    }
    const float* u = b.between_columns.row<float>(k);
    for (std::int64_t later = k + 1; later < b.columns; ++later)
      add_multiple(u[later], w, feedback + later * b.rows, b.rows);
  }
}

// slope: this block of M E H; pulled: work, [rows].
WHIT_MULTIVERSION void descend_one(const Block& b, float* slope, float* pulled, MatrixView codes,
                                   MatrixView error) {
  constexpr float kLeast = 0.5F + kDescentMargin;
  for (std::int64_t k = 0; k < b.columns; ++k) {
    float* g = slope + k * b.rows;
    const float* h = b.between_columns.row<float>(k);
    const std::int32_t group = b.column_group[static_cast<std::size_t>(k)];
    std::fill_n(pulled, b.rows, 0.0F);
    bool any = false;
    for (std::int64_t i = 0; i < b.rows; ++i) {
      const float* m = b.between_rows.row<float>(i);
      const float curvature = m[i] * h[k];
      if (!(curvature > 0)) continue;
      const float scale = b.scales.row<float>(i)[group];
      const float step = g[i] / (curvature * scale);
      if (!(std::abs(step) > kLeast)) continue;
      std::int8_t& code = codes.row<std::int8_t>(i)[k];
      const float best = nearest(static_cast<float>(code) + step, b.range);
      const float move = (best - static_cast<float>(code)) * scale;
      if (move == 0) continue;
      any = true;
      code = static_cast<std::int8_t>(best);
      error.row<float>(i)[k] -= move;
      add_multiple(-move * h[k], m, g, b.rows);
      add_multiple(move, m, pulled, b.rows);
    }
    if (!any) continue;
    for (std::int64_t later = k + 1; later < b.columns; ++later)
      add_multiple(-h[later], pulled, slope + later * b.rows, b.rows);
  }
}

}  // namespace

void sweep_row_blocks(int threads, const SweepArgs& args, ConstMatrixView t0, ConstMatrixView t,
                      MatrixView codes, MatrixView error) {
  host::check_sweep(args, t0, t, codes, error);
  const std::int64_t rows = args.row_u.cols;
  const std::int64_t columns = t.cols;
  Scratch scratch(threads, rows * (2 * columns + 1));
  parallel_pieces(threads, t.rows, rows, [&](std::int64_t begin, std::int64_t count) {
    float* feedback = scratch.mine();
    float* weight = feedback + rows * columns;
    float* target = weight + rows * columns;
    columns_of(t.rows_of(begin, count), feedback);
    columns_of(t0.rows_of(begin, count), weight);
    for (std::int64_t i = 0; i < count * columns; ++i) feedback[i] -= weight[i];
    const Block block{count,
                      columns,
                      args.row_u.rows_of(begin, count),
                      args.u,
                      args.scales.rows_of(begin, count),
                      args.column_group,
                      range_of(args.bits)};
    sweep_one(block, args.zeros.data == nullptr ? args.zeros : args.zeros.rows_of(begin, count),
              feedback, target, weight, codes.rows_of(begin, count));
    const MatrixView out = error.rows_of(begin, count);
    for (std::int64_t i = 0; i < count; ++i)
      for (std::int64_t k = 0; k < columns; ++k) out.row<float>(i)[k] = weight[k * count + i];
  });
}

void descend_row_blocks(int threads, const DescentArgs& args, ConstMatrixView gradient,
                        MatrixView codes, MatrixView error) {
  host::check_descent(args, gradient, codes, error);
  const std::int64_t rows = args.m.cols;
  const std::int64_t columns = codes.cols;
  Scratch scratch(threads, rows * (columns + 1));
  parallel_pieces(threads, codes.rows, rows, [&](std::int64_t begin, std::int64_t count) {
    float* slope = scratch.mine();
    float* pulled = slope + rows * columns;
    columns_of(gradient.rows_of(begin, count), slope);
    const Block block{count,
                      columns,
                      args.m.rows_of(begin, count),
                      args.h,
                      args.scales.rows_of(begin, count),
                      args.column_group,
                      range_of(args.bits)};
    descend_one(block, slope, pulled, codes.rows_of(begin, count), error.rows_of(begin, count));
  });
}

}  // namespace whit::compute::cpu
