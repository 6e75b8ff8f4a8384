#include "compute/cuda/sweep.h"

#include "compute/cuda/kernel.cuh"
#include "compute/cuda/moved_columns.h"

// A row belongs to eight lanes, each of which keeps every eighth of up to 128 columns in registers;
// the factor's block lies in shared memory. What one column did reaches the later ones by a shuffle.
namespace whit::compute::cuda {

namespace {

constexpr int kColumns = 128;  // swept by one launch
constexpr int kLanes = 8;
constexpr int kSlots = kColumns / kLanes;
constexpr unsigned kThreads = 128;
constexpr int kRowsAtOnce = static_cast<int>(kThreads) / kLanes;
constexpr std::size_t kShared = sizeof(float) * kColumns * kColumns;

struct Block {
  Rows<const float> between;  // [columns, columns]: u, or h
  Rows<const float> scales, zeros;
  const std::int32_t* column_group;
  Rows<std::int8_t> codes;
  Rows<float> error;
  std::int64_t rows;
  int columns;
  float lo, hi;
};

Block block_of(ConstMatrixView between, ConstMatrixView scales, ConstMatrixView zeros,
               const std::int32_t* column_group, int bits, MatrixView codes, MatrixView error) {
  return {rows_of<float>(between),
          rows_of<float>(scales),
          rows_of<float>(zeros),
          column_group,
          rows_of<std::int8_t>(codes),
          rows_of<float>(error),
          codes.rows,
          static_cast<int>(codes.cols),
          static_cast<float>(scheme::code_min(bits)),
          static_cast<float>(scheme::code_max(bits))};
}

// A lane's place: its row, and whether it has one.
struct Place {
  std::int64_t row;
  int lane;
  bool active;
};

__device__ Place place_of(const Block& b) {
  const std::int64_t row =
      static_cast<std::int64_t>(blockIdx.x) * kRowsAtOnce + threadIdx.x / kLanes;
  return {row < b.rows ? row : b.rows - 1, static_cast<int>(threadIdx.x % kLanes), row < b.rows};
}

__device__ void load_between(const Block& b, float* shared) {
  for (int at = static_cast<int>(threadIdx.x); at < kColumns * kColumns; at += kThreads) {
    const int i = at / kColumns;
    const int j = at % kColumns;
    shared[at] = i < b.columns && j < b.columns ? b.between[i][j] : 0.0F;
  }
  __syncthreads();
}

__global__ void __launch_bounds__(kThreads)
    sweep_kernel(Block b, Rows<const float> t0, Rows<const float> t) {
  extern __shared__ float u[];
  load_between(b, u);
  const Place p = place_of(b);
  float target[kSlots];
  float weight[kSlots];
  float scale[kSlots];
  float inverse[kSlots];
  float zero[kSlots];
#pragma unroll
  for (int s = 0; s < kSlots; ++s) {
    const int k = s * kLanes + p.lane;
    const bool there = k < b.columns;
    const std::int32_t g = there ? b.column_group[k] : 0;
    target[s] = there ? t[p.row][k] : 0.0F;
    weight[s] = there ? t0[p.row][k] : 0.0F;
    scale[s] = there ? b.scales[p.row][g] : 1.0F;
    inverse[s] = inverse_of(scale[s]);
    zero[s] = there && b.zeros.data != nullptr ? b.zeros[p.row][g] : 0.0F;
  }
  // On return target holds codes and weight errors.
#pragma unroll
  for (int s = 0; s < kSlots; ++s) {
    for (int owner = 0; owner < kLanes; ++owner) {
      const float code = code_of(target[s], inverse[s], zero[s], b.lo, b.hi);
      const float own = weight[s] - (code - zero[s]) * scale[s];
      const float e = __shfl_sync(kAllLanes, own, owner, kLanes);
      const float* row = u + (s * kLanes + owner) * kColumns + p.lane;
      if (p.lane == owner) {
        target[s] = code;
        weight[s] = own;
      } else if (p.lane > owner) {
        target[s] += e * row[s * kLanes];
      }
#pragma unroll
      for (int later = s + 1; later < kSlots; ++later) target[later] += e * row[later * kLanes];
    }
  }
  if (!p.active) return;
#pragma unroll
  for (int s = 0; s < kSlots; ++s) {
    const int k = s * kLanes + p.lane;
    if (k >= b.columns) continue;
    b.codes[p.row][k] = static_cast<std::int8_t>(target[s]);
    b.error[p.row][k] = weight[s];
  }
}

__global__ void __launch_bounds__(kThreads) 
    descend_kernel(Block b, Rows<const float> gradient, Rows<float> moves) {
  extern __shared__ float h[];
  load_between(b, h);
  const Place p = place_of(b);
  float slope[kSlots];
  float code[kSlots];
  float scale[kSlots];
  float moved[kSlots];
#pragma unroll
  for (int s = 0; s < kSlots; ++s) {
    const int k = s * kLanes + p.lane;
    const bool there = k < b.columns;
    slope[s] = there ? gradient[p.row][k] : 0.0F;
    code[s] = there ? static_cast<float>(b.codes[p.row][k]) : 0.0F;
    scale[s] = there ? b.scales[p.row][b.column_group[k]] : 1.0F;
    moved[s] = 0.0F;
  }
#pragma unroll
  for (int s = 0; s < kSlots; ++s) {
    for (int owner = 0; owner < kLanes; ++owner) {
      const int k = s * kLanes + owner;
      const float* row = h + k * kColumns + p.lane;
      const float curvature = h[k * kColumns + k];
      const float step = slope[s] / (curvature * scale[s]);
      float best = code[s];
      if (curvature > 0 && fabsf(step) > 0.5F + kDescentMargin)
        best = rintf(fminf(fmaxf(code[s] + step, b.lo), b.hi));
      const float move = __shfl_sync(kAllLanes, (best - code[s]) * scale[s], owner, kLanes);
      if (p.lane == owner) {
        code[s] = best;
        moved[s] = move;
      } else if (p.lane > owner) {
        slope[s] -= move * row[s * kLanes];
      }
#pragma unroll
      for (int later = s + 1; later < kSlots; ++later) slope[later] -= move * row[later * kLanes];
    }
  }
  if (!p.active) return;
#pragma unroll
  for (int s = 0; s < kSlots; ++s) {
    const int k = s * kLanes + p.lane;
    if (k >= b.columns) continue;
    b.codes[p.row][k] = static_cast<std::int8_t>(code[s]);
    b.error[p.row][k] -= moved[s];
    moves[p.row][k] = moved[s];
  }
}

template <typename Kernel, typename... Args>
void launch(const Context& context, Kernel kernel, const char* what, const Block& block,
            Args... args) {
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(kShared)),
        "shared memory of a sweep");
  kernel<<<static_cast<unsigned>(base::ceil_div<std::int64_t>(block.rows, kRowsAtOnce)), kThreads,
           kShared, context.stream()>>>(block, args...);
  context.launched(what);
}

}  // namespace

void sweep(const Context& context, const SweepArgs& args, ConstMatrixView t0, ConstMatrixView t,
           MatrixView codes, MatrixView error) {
  if (t.rows == 0) return;
  const Temporary<std::int32_t> groups(context, args.column_group);
  MovedColumns targets(context, t, kColumns);
  for (std::int64_t k = 0; k < t.cols; k += kColumns) {
    const std::int64_t size = std::min<std::int64_t>(kColumns, t.cols - k);
    const MatrixView lost = error.sub(0, t.rows, k, size);
    const Block block = block_of(args.u.sub(k, size, k, size), args.scales, args.zeros,
                                 groups.data() + k, args.bits, codes.sub(0, t.rows, k, size), lost);
    launch(context, sweep_kernel, "sweep_block", block, rows_of<float>(t0.sub(0, t.rows, k, size)),
           rows_of<float>(targets.columns(k, size)));
    targets.advance(k, 1.0F, lost, args.u);
  }
}

void descend(const Context& context, const DescentArgs& args, ConstMatrixView gradient,
             MatrixView codes, MatrixView error) {
  const std::int64_t rows = gradient.rows;
  if (rows == 0) return;
  const Temporary<std::int32_t> groups(context, args.column_group);
  const Temporary<float> moves(context, rows * kColumns);
  const MatrixView move{reinterpret_cast<std::byte*>(moves.data()), gradient.dtype, rows, kColumns,
                        kColumns, gradient.device};
  MovedColumns slopes(context, gradient, kColumns);
  for (std::int64_t k = 0; k < gradient.cols; k += kColumns) {
    const std::int64_t size = std::min<std::int64_t>(kColumns, gradient.cols - k);
    const Block block =
        block_of(args.h.sub(k, size, k, size), args.scales, {}, groups.data() + k, args.bits,
                 codes.sub(0, rows, k, size), error.sub(0, rows, k, size));
    launch(context, descend_kernel, "descend_block", block,
           rows_of<float>(slopes.columns(k, size)), rows_of<float>(move));
    slopes.advance(k, -1.0F, move.sub(0, rows, 0, size), args.h);
  }
}

}  // namespace whit::compute::cuda
