#pragma once

#include <cuda_fp16.h>

#include "compute/cuda/book.cuh"

// A codebook as tensor cores read it: fp16 operands of x·c - |c|²/2, both sides scaled by one power
// of two, and what such a product can be wrong by. It only ever rules centroids out.
namespace whit::compute::cuda {

inline constexpr int kTileCentroids = 8;
inline constexpr int kStageTiles = 32;   // tiles that lie in shared memory at once
inline constexpr int kChunkTiles = 64;   // tiles between two looks at the maxima
inline constexpr int kQuad = 4;          // lanes that share a row of a product
inline constexpr int kChunk = kChunkTiles * kTileCentroids;
inline constexpr int kRun = kChunk / kQuad;  // of a chunk, what one lane of a quad sees: neighbours

// Products of 8 entries that a score takes. Four entries are split into two halves each, so that
// finely spaced codebooks are told apart: (high + low) · high + high · low.
template <int L>
inline constexpr int kSteps = L == 4 ? 2 : (L + 7) / 8;
// What operands lose, in parts of |x| |c|.
template <int L>
inline constexpr float kOperandError = L == 4 ? 0x1p-19F : 0x1.01p-10F;

template <int L>
struct Stage {
  std::uint32_t operands[kStageTiles][kSteps<L>][kWarp];
  float4 starts[kStageTiles][kQuad];  // what the sums start from: two columns' values, twice
};

// The power of two that brings the largest number to 2^13 or a little more.
struct Scale {
  float factor;
  bool usable;  // false for numbers whose squares are beyond fp32, infinity and NaN among them
  __device__ Scale(float vectors, float centroids) {
    constexpr float kMost = 0x1p60F;
    const float largest = fmaxf(vectors, centroids);
    const int exponent = (__float_as_int(largest) >> 23 & 0xff) - 127;
    factor = __int_as_float((127 + 13 - min(max(exponent, -47), 60)) << 23);
    usable = vectors < kMost && centroids < kMost;
  }
};

template <int L>
struct Screen {
  const Stage<L>* stages;
  int count;             // of stages
  const float* largest;  // magnitude of any entry of a vector

  __device__ Scale scale(const Book& book) const { return {*largest, *book.largest}; }
};

// The first centroid that lane `quad` sees of a chunk.
__device__ inline int first_of_run(int chunk, int quad) {
  return chunk * kChunk + quad * kRun;
}

__device__ inline __half high_half(float v) {
  return __float2half_rn(v);
}
__device__ inline __half low_half(float v) {
  return __float2half_rn(v - __half2float(__float2half_rn(v)));
}

// Entry k of a vector's operand, k < 8 kSteps; at(d) is the scaled vector's.
template <int L, typename At>
__device__ __half vector_operand(int k, At at) {
  const __half none = __ushort_as_half(0);
  if constexpr (L == 4)
    return k >= 12 ? none : k < 4 || k >= 8 ? high_half(at(k % 4)) : low_half(at(k % 4));
  else
    return k < L ? high_half(at(k)) : none;
}
template <int L, typename At>
__device__ __half centroid_operand(int k, At at) {
  const __half none = __ushort_as_half(0);
  if constexpr (L == 4)
    return k >= 12 ? none : k < 8 ? high_half(at(k % 4)) : low_half(at(k % 4));
  else
    return k < L ? high_half(at(k)) : none;
}

__device__ inline std::uint32_t packed(__half a, __half b) {
  return static_cast<std::uint32_t>(__half_as_ushort(b)) << 16 | __half_as_ushort(a);
}

// Added to every sum, so that what matters is nearly always positive: `largest` is the largest
// norm of a centroid, scaled.
__device__ inline float shift_of(float largest) {
  return largest * largest / 8;
}

// What a sum can be below x·c - |c|²/2 + shift for any c: |x| |c| times the operands' error, of
// which the part that depends on |c| is in the sum's start ((|x|² + |c|²)/2 is more than the
// product); the rounding of sums; and fp16's smallest numbers. Norms are scaled.
template <int L>
__device__ float slack_of(float norm, float largest) {
  constexpr float kSumError = (8 * kSteps<L> + 8) * 0x1p-22F;
  const float product = norm * largest;
  const float operands = kOperandError<L> * fminf(norm * norm / 2, product);
  return (operands + kSumError * (product + largest * largest) + 0x1p-22F * (norm + largest) +
          0x1p-40F) *
         1.001F;
}

// sum = start + a b, rows of 16 by columns of 8.
__device__ inline void multiply_eight(float (&sum)[4], const std::uint32_t (&a)[2], std::uint32_t b,
                                      float4 start) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
      "{%7,%8,%9,%10};"
      : "=f"(sum[0]), "=f"(sum[1]), "=f"(sum[2]), "=f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(b), "f"(start.x), "f"(start.y), "f"(start.z), "f"(start.w));
}
__device__ inline void multiply_sixteen(float (&sum)[4], const std::uint32_t (&a)[2],
                                        const std::uint32_t (&more)[2], std::uint32_t b,
                                        std::uint32_t next, float4 start) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%10,%11,%12,%13};"
      : "=f"(sum[0]), "=f"(sum[1]), "=f"(sum[2]), "=f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(more[0]), "r"(more[1]), "r"(b), "r"(next), "f"(start.x),
        "f"(start.y), "f"(start.z), "f"(start.w));
}

template <int S>
__device__ void multiply_steps(float (&sum)[4], const std::uint32_t (&a)[S][2],
                               const std::uint32_t (&b)[S], float4 start) {
#pragma unroll
  for (int s = 0; s < S; s += 2) {
    const float4 from = s == 0 ? start : make_float4(sum[0], sum[1], sum[2], sum[3]);
    if (s + 1 < S)
      multiply_sixteen(sum, a[s], a[s + 1 < S ? s + 1 : s], b[s], b[s + 1 < S ? s + 1 : s], from);
    else
      multiply_eight(sum, a[s], b[s], from);
  }
}

// The device memory behind a Screen of `book` for the vectors x.
template <int L>
class HeldScreen {
 public:
  HeldScreen(const Context& context, const Book& book, Rows<const float> x, std::int64_t rows);
  const Screen<L>& view() const { return view_; }

 private:
  Temporary<Stage<L>> stages_;
  Temporary<std::int32_t> largest_;
  Screen<L> view_;
};

void find_largest(const Context& context, Rows<const float> x, std::int64_t rows, int length,
                  std::int32_t* largest);

// Both columns of a product that a lane has in a tile, the lane's operands first.
template <int L>
void lay_out_screen(const Context& context, const Book& book, const Screen<L>& screen,
                    Stage<L>* stages) {
  constexpr int kWords = kSteps<L> * static_cast<int>(kWarp);
  each(context, static_cast<std::int64_t>(screen.count) * kStageTiles, kWords + kQuad,
       "codebook of tensor cores", [=] __device__(std::int64_t tile, std::int64_t j) {
         Stage<L>& stage = stages[tile / kStageTiles];
         const int at = static_cast<int>(tile % kStageTiles);
         const float factor = screen.scale(book).factor;
         const int in_run = static_cast<int>(tile % kChunkTiles) * 2;
         const int chunk = static_cast<int>(tile / kChunkTiles);
         if (j < kWords) {
           const int lane = static_cast<int>(j % kWarp);
           const int column = lane / kQuad;
           const int k = static_cast<int>(j / kWarp) * 8 + lane % kQuad * 2;
           const int c = first_of_run(chunk, column / 2) + in_run + column % 2;
           const auto entry = [&](int d) {
             return c < book.count && d < book.length ? book.plain[c][d] * factor : 0.0F;
           };
           stage.operands[at][j / kWarp][lane] =
               packed(centroid_operand<L>(k, entry), centroid_operand<L>(k + 1, entry));
           return;
         }
         const int quad = static_cast<int>(j - kWords);
         const int c = first_of_run(chunk, quad) + in_run;
         const auto start = [&](int index) {
           if (index >= book.count) return -INFINITY;
           const float half = load_centroid<L>(book, index).half;
           return shift_of(*book.largest * factor) -
                  half * (1 - kOperandError<L>) * factor * factor;
         };
         const float first = start(c);
         const float second = start(c + 1);
         stage.starts[at][quad] = make_float4(first, second, first, second);
       });
}

template <int L>
HeldScreen<L>::HeldScreen(const Context& context, const Book& book, Rows<const float> x,
                          std::int64_t rows)
    : stages_(context,
              base::ceil_div<std::int64_t>(book.count, kChunk) * (kChunkTiles / kStageTiles)),
      largest_(context, 1) {
  largest_.clear();
  find_largest(context, x, rows, book.length, largest_.data());
  view_ = {stages_.data(), static_cast<int>(stages_.count()),
           reinterpret_cast<const float*>(largest_.data())};
  lay_out_screen<L>(context, book, view_, stages_.data());
}

}  // namespace whit::compute::cuda
