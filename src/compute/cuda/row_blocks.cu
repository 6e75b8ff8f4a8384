#include "compute/cuda/kernel.cuh"
#include "compute/cuda/sweep.h"

// Rows of a block see each other: one thread block works on one block of rows, a thread a row, the
// rows of a column one after the other.
namespace whit::compute::cuda {

namespace {

struct RowBlocks {
  Rows<const float> between_rows;     // [N, rows]
  Rows<const float> between_columns;  // [columns, columns]
  Rows<const float> scales, zeros;
  const std::int32_t* column_group;
  Rows<std::int8_t> codes;
  Rows<float> error;
  int rows;  // of a block
  int columns;
  float lo, hi;
};

__global__ void sweep_rows_kernel(RowBlocks b, Rows<const float> t0, Rows<const float> t) {
  __shared__ float passed;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * b.rows;
  const int n = static_cast<int>(threadIdx.x);
  const bool mine = n < b.rows;
  const std::int64_t row = first + (mine ? n : 0);
  for (int k = 0; k < b.columns; ++k) {
    const std::int32_t g = b.column_group[k];
    const float weight = t0[row][k];
    float target = t[row][k];
    for (int j = 0; j < k; ++j) target += b.error[row][j] * b.between_columns[j][k];
    const float feedback = target - weight;
    const float scale = b.scales[row][g];
    const float zero = b.zeros.data == nullptr ? 0.0F : b.zeros[row][g];
    for (int i = 0; i < b.rows; ++i) {
      if (n == i) {
        const float code = code_of(target, inverse_of(scale), zero, b.lo, b.hi);
        const float lost = weight - (code - zero) * scale;
        b.codes[row][k] = static_cast<std::int8_t>(code);
        b.error[row][k] = lost;
        passed = feedback + lost;
      }
      __syncthreads();
      if (mine && n > i) target += passed * b.between_rows[first + i][n];
      __syncthreads();
    }
  }
}

__global__ void descend_rows_kernel(RowBlocks b, Rows<const float> gradient, Rows<float> moves) {
  __shared__ float moved;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * b.rows;
  const int n = static_cast<int>(threadIdx.x);
  const bool mine = n < b.rows;
  const std::int64_t row = first + (mine ? n : 0);
  for (int k = 0; k < b.columns; ++k) {
    const float curvature = b.between_columns[k][k];
    const float scale = b.scales[row][b.column_group[k]];
    float slope = gradient[row][k];
    // What earlier columns of all rows took of it.
    for (int i = 0; i < b.rows; ++i) {
      float sum = 0;
      for (int j = 0; j < k; ++j) sum += moves[first + i][j] * b.between_columns[j][k];
      slope -= b.between_rows[first + i][mine ? n : 0] * sum;
    }
    for (int i = 0; i < b.rows; ++i) {
      if (n == i) {
        const float own = curvature * b.between_rows[row][n];
        const float old = static_cast<float>(b.codes[row][k]);
        const float step = slope / (own * scale);
        float best = old;
        if (own > 0 && fabsf(step) > 0.5F + kDescentMargin)
          best = rintf(fminf(fmaxf(old + step, b.lo), b.hi));
        moved = (best - old) * scale;
        moves[row][k] = moved;
        b.codes[row][k] = static_cast<std::int8_t>(best);
        b.error[row][k] -= moved;
      }
      __syncthreads();
      if (mine && n > i) slope -= moved * curvature * b.between_rows[first + i][n];
      __syncthreads();
    }
  }
}

RowBlocks blocks_of(ConstMatrixView between_rows, ConstMatrixView between_columns,
                    ConstMatrixView scales, ConstMatrixView zeros, const std::int32_t* groups,
                    int bits, MatrixView codes, MatrixView error) {
  require(between_rows.cols <= 1024, "row blocks: at most 1,024 rows each");
  return {rows_of<float>(between_rows),
          rows_of<float>(between_columns),
          rows_of<float>(scales),
          rows_of<float>(zeros),
          groups,
          rows_of<std::int8_t>(codes),
          rows_of<float>(error),
          static_cast<int>(between_rows.cols),
          static_cast<int>(codes.cols),
          static_cast<float>(scheme::code_min(bits)),
          static_cast<float>(scheme::code_max(bits))};
}

unsigned threads_of(const RowBlocks& b) {
  return base::round_up<unsigned>(static_cast<unsigned>(b.rows), kWarp);
}

}  // namespace

void sweep_row_blocks(const Context& context, const SweepArgs& args, ConstMatrixView t0,
                      ConstMatrixView t, MatrixView codes, MatrixView error) {
  if (t.rows == 0) return;
  const Temporary<std::int32_t> groups(context, args.column_group);
  const RowBlocks blocks = blocks_of(args.row_u, args.u, args.scales, args.zeros, groups.data(),
                                     args.bits, codes, error);
  sweep_rows_kernel<<<static_cast<unsigned>(t.rows / args.row_u.cols), threads_of(blocks), 0,
                      context.stream()>>>(blocks, rows_of<float>(t0), rows_of<float>(t));
  context.launched("sweep_block of row blocks");
}

void descend_row_blocks(const Context& context, const DescentArgs& args, ConstMatrixView gradient,
                        MatrixView codes, MatrixView error) {
  if (gradient.rows == 0) return;
  const Temporary<std::int32_t> groups(context, args.column_group);
  const Temporary<float> moves(context, gradient.rows * gradient.cols);
  const RowBlocks blocks =
      blocks_of(args.m, args.h, args.scales, {}, groups.data(), args.bits, codes, error);
  descend_rows_kernel<<<static_cast<unsigned>(gradient.rows / args.m.cols), threads_of(blocks), 0,
                        context.stream()>>>(blocks, rows_of<float>(gradient),
                                            Rows<float>{moves.data(), gradient.cols});
  context.launched("descend_block of row blocks");
}

}  // namespace whit::compute::cuda
