#pragma once

#include <cfloat>
#include <type_traits>

#include "compute/cuda/kernel.cuh"

// A codebook as kernels read it, and the two measures of nearness: a score in single precision,
// which proposes, and the squared distance in double precision, which decides and is the same bits
// on every backend.
namespace whit::compute::cuda {

// Vectors up to so many entries are held in registers.
inline constexpr int kLongestHeld = 32;

// Rows of `held` entries (zeros behind the vector's own), |c|²/2 and three of padding.
struct Book {
  const float4* rows;
  Rows<const float> plain;
  const float* largest;  // no centroid's norm is above
  int count;
  int length;
};

// Entries of a vector as it is held: 4, 8, 12, 16, 24 or 32.
inline int held_entries(std::int64_t length) {
  const int quads = static_cast<int>(base::ceil_div<std::int64_t>(length, 4));
  return 4 * (quads > 6 ? 8 : quads > 4 ? 6 : quads);
}

// Calls body(constant) with held_entries(length), which must be at most kLongestHeld.
template <typename Body>
void with_held_entries(std::int64_t length, Body body) {
  switch (held_entries(length)) {
    case 4:
      return body(std::integral_constant<int, 4>{});
    case 8:
      return body(std::integral_constant<int, 8>{});
    case 12:
      return body(std::integral_constant<int, 12>{});
    case 16:
      return body(std::integral_constant<int, 16>{});
    case 24:
      return body(std::integral_constant<int, 24>{});
    default:
      return body(std::integral_constant<int, 32>{});
  }
}

// The device memory behind a Book.
class HeldBook {
 public:
  HeldBook(const Context& context, ConstMatrixView centroids);
  const Book& view() const { return view_; }

 private:
  Temporary<float> rows_;
  Temporary<float> largest_;
  Book view_;
};

template <int L>
struct Centroid {
  float4 quads[L / 4];
  float half;  // |c|²/2
};

template <int L>
__device__ Centroid<L> load_centroid(const Book& book, int index) {
  const float4* row = book.rows + static_cast<std::int64_t>(index) * (L / 4 + 1);
  Centroid<L> c;
#pragma unroll
  for (int q = 0; q < L / 4; ++q) c.quads[q] = __ldg(row + q);
  c.half = __ldg(reinterpret_cast<const float*>(row + L / 4));
  return c;
}

// |c|²/2 - x·c, so half of |x - c|² - |x|².
template <int L>
__device__ float score(const Centroid<L>& c, const float (&x)[L]) {
  float sum = c.half;
#pragma unroll
  for (int q = 0; q < L / 4; ++q) {
    sum = fmaf(-x[4 * q], c.quads[q].x, sum);
    sum = fmaf(-x[4 * q + 1], c.quads[q].y, sum);
    sum = fmaf(-x[4 * q + 2], c.quads[q].z, sum);
    sum = fmaf(-x[4 * q + 3], c.quads[q].w, sum);
  }
  return sum;
}

// |x - c| in single precision, right to a few ulps whatever the offset.
template <int L>
__device__ float distance(const Centroid<L>& c, const float (&x)[L]) {
  float sum = 0;
#pragma unroll
  for (int q = 0; q < L / 4; ++q) {
    const float a = x[4 * q] - c.quads[q].x;
    const float b = x[4 * q + 1] - c.quads[q].y;
    const float d = x[4 * q + 2] - c.quads[q].z;
    const float e = x[4 * q + 3] - c.quads[q].w;
    sum = fmaf(a, a, fmaf(b, b, fmaf(d, d, fmaf(e, e, sum))));
  }
  return sqrtf(sum);
}

// What a score may be wrong by: an inner product of L terms and a few more operations, each wrong
// by half an ulp, and what double precision rounds.
template <int L>
__device__ float doubt_of(const float (&x)[L], float largest) {
  float square = 0;
#pragma unroll
  for (int d = 0; d < L; ++d) square = fmaf(x[d], x[d], square);
  return (L + 4) * 0x1p-23F * largest * (largest + sqrtf(square)) + 0x1p-46F * square + FLT_MIN;
}

// Relative and absolute margins of what distance() says.
inline constexpr float kWider = 1 + 1e-5F;
inline constexpr float kLeastDistance = 1e-18F;

template <int L>
__device__ void load_vector(Rows<const float> x, std::int64_t row, int length, float (&v)[L]) {
#pragma unroll
  for (int d = 0; d < L; ++d) v[d] = d < length ? x[row][d] : 0.0F;
}

// |x - c|², products and sums in order, nothing fused.
__device__ inline double squared_distance(const float* x, const float* c, int length) {
  double sum = 0;
  for (int d = 0; d < length; ++d) {
    const double lost = __dsub_rn(static_cast<double>(x[d]), static_cast<double>(c[d]));
    sum = __dadd_rn(sum, __dmul_rn(lost, lost));
  }
  return sum;
}

// |x - c - r|².
__device__ inline double squared_distance(const float* x, const float* c, const float* r,
                                          int length) {
  double sum = 0;
  for (int d = 0; d < length; ++d) {
    const double lost =
        __dsub_rn(__dsub_rn(static_cast<double>(x[d]), static_cast<double>(c[d])),
                  static_cast<double>(r[d]));
    sum = __dadd_rn(sum, __dmul_rn(lost, lost));
  }
  return sum;
}

// A vector in registers against a row in memory.
template <int L>
__device__ double squared_distance(const float (&x)[L], const float* c, int length) {
  double sum = 0;
#pragma unroll
  for (int d = 0; d < L; ++d) {
    if (d >= length) break;
    const double lost = __dsub_rn(static_cast<double>(x[d]), static_cast<double>(c[d]));
    sum = __dadd_rn(sum, __dmul_rn(lost, lost));
  }
  return sum;
}

struct Neighbour {
  double square;
  int index;
  __device__ bool before(const Neighbour& other) const {
    return square < other.square || (square == other.square && index < other.index);
  }
};

__device__ inline Neighbour shuffled_from(const Neighbour& n, int lane) {
  return {__shfl_sync(kAllLanes, n.square, lane), __shfl_sync(kAllLanes, n.index, lane)};
}

// The first of a warp's; every lane gets it.
__device__ inline Neighbour first_of_warp(Neighbour n) {
  for (unsigned distance = kWarp / 2; distance > 0; distance /= 2) {
    const Neighbour other{__shfl_xor_sync(kAllLanes, n.square, distance),
                          __shfl_xor_sync(kAllLanes, n.index, distance)};
    if (other.before(n)) n = other;
  }
  return n;
}

}  // namespace whit::compute::cuda
