#pragma once

#include <algorithm>
#include <cstdint>

#include "base/checked.h"
#include "compute/cuda/context.h"

// What kernels are made of: typed rows, elementwise launches, sums over warps and blocks. All sums
// have a fixed order.
namespace whit::compute::cuda {

// A matrix as a kernel sees it.
template <typename T>
struct Rows {
  T* data;
  std::int64_t stride;
  __device__ T* operator[](std::int64_t i) const { return data + i * stride; }
};

template <typename T>
Rows<T> rows_of(MatrixView m) {
  return {reinterpret_cast<T*>(m.data), m.stride};
}
template <typename T>
Rows<const T> rows_of(ConstMatrixView m) {
  return {reinterpret_cast<const T*>(m.data), m.stride};
}

template <typename Body>
__global__ void each_kernel(std::int64_t rows, std::int64_t cols, Body body) {
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.y) * blockDim.y + threadIdx.y; i < rows;
       i += static_cast<std::int64_t>(gridDim.y) * blockDim.y)
    for (std::int64_t j = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
         j < cols; j += static_cast<std::int64_t>(gridDim.x) * blockDim.x)
      body(i, j);
}

// body(i, j) for every entry of a [rows, cols] matrix, in any order.
template <typename Body>
void each(const Context& context, std::int64_t rows, std::int64_t cols, const char* what,
          Body body) {
  if (rows == 0 || cols == 0) return;
  unsigned across = 256;
  while (across > 1 && static_cast<std::int64_t>(across / 2) >= cols) across /= 2;
  const dim3 block(across, 256 / across);
  const dim3 grid(
      static_cast<unsigned>(std::min<std::int64_t>(base::ceil_div<std::int64_t>(cols, block.x), 1024)),
      static_cast<unsigned>(std::min<std::int64_t>(base::ceil_div<std::int64_t>(rows, block.y), 32768)));
  each_kernel<<<grid, block, 0, context.stream()>>>(rows, cols, body);
  context.launched(what);
}

inline constexpr unsigned kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffU;

struct Plus {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Larger {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};

// Every lane gets the result.
template <typename T, typename Join>
__device__ T warp_reduce(T value, Join join) {
  for (unsigned distance = kWarp / 2; distance > 0; distance /= 2)
    value = join(value, __shfl_xor_sync(kAllLanes, value, distance));
  return value;
}

// Every thread gets the result; blockDim.x is a multiple of 32, at most 1024. Contains barriers.
template <typename T, typename Join>
__device__ T block_reduce(T value, Join join) {
  __shared__ T parts[kWarp];
  const unsigned warp = threadIdx.x / kWarp;
  const unsigned warps = blockDim.x / kWarp;
  value = warp_reduce(value, join);
  __syncthreads();
  if (threadIdx.x % kWarp == 0) parts[warp] = value;
  __syncthreads();
  T result = parts[0];
  for (unsigned w = 1; w < warps; ++w) result = join(result, parts[w]);
  return result;
}

// Threads of a block that works on one row of `cols` entries.
inline unsigned threads_for(std::int64_t cols) {
  return cols <= 64 ? 32U : cols <= 512 ? 128U : 256U;
}

template <typename Body>
__global__ void row_kernel(std::int64_t rows, Body body) {
  for (std::int64_t i = blockIdx.x; i < rows; i += gridDim.x) body(i);
}

// body(i), by a block of threads_for(cols) threads, for every row.
template <typename Body>
void each_row(const Context& context, std::int64_t rows, std::int64_t cols, const char* what,
              Body body) {
  if (rows == 0) return;
  const auto blocks = static_cast<unsigned>(std::min<std::int64_t>(rows, 1 << 20));
  row_kernel<<<blocks, threads_for(cols), 0, context.stream()>>>(rows, body);
  context.launched(what);
}

// Of a scale, which is not 0; finite where the scale is subnormal.
__device__ inline float inverse_of(float scale) {
  constexpr float kLargest = 3.40282347e38F;
  return fmaxf(fminf(1.0F / scale, kLargest), -kLargest);
}

// The code of a value on a grid. DEVIATION: times the inverse of the scale where the contract
// divides, so that ties may fall otherwise; a division would take half of a sweep's time.
__device__ inline float code_of(float value, float inverse, float zero, float lo, float hi) {
  return fminf(fmaxf(rintf(value * inverse) + zero, lo), hi);
}

// The bits of |x|: integers in the order of magnitudes, NaN above infinity.
__device__ inline std::int32_t magnitude_bits(float x) {
  return __float_as_int(x) & 0x7fffffff;
}

}  // namespace whit::compute::cuda
