#pragma once

#include <cuda_pipeline.h>

#include "compute/cuda/screen.cuh"

// A warp and its 64 vectors on their way through a codebook.
namespace whit::compute::cuda {

inline constexpr int kFragments = 4;                // products of 16 rows that a warp holds
inline constexpr int kSlots = 2 * kFragments;       // rows of which a lane sees a part
inline constexpr int kTileVectors = 16 * kFragments;
inline constexpr int kVectorsALane = kTileVectors / static_cast<int>(kWarp);
inline constexpr int kInRun = kRun / static_cast<int>(kWarp);  // centroids of a run that a lane tries

struct Job {
  Rows<const float> x;
  std::int64_t count;
  Book book;
  std::int32_t* labels;
  double* squares;  // or null
  // Vectors for which double precision has to look at the whole codebook, and how many.
  std::int32_t* open;
  int* open_count;
};

// The largest sums of a row over what a lane sees of each chunk, 0 where all are negative: the two
// best chunks, and what no third one is above.
struct Tops {
  int bits = 0;  // of the largest sum of this chunk
  float best = -INFINITY, second = -INFINITY, third = -INFINITY;
  int chunk = 0, next = 0;

  // Of positive numbers the bits stand in their order, those of negative ones below 0; Hopper takes
  // the larger of three integers at once.
  __device__ void see(float a, float b) {
    bits = __vimax3_s32(bits, __float_as_int(a), __float_as_int(b));
  }
  __device__ void close(int at) {
    const float now = __int_as_float(bits);
    const bool first = now > best;
    next = first ? chunk : now > second ? at : next;
    chunk = first ? at : chunk;
    third = fmaxf(third, fminf(now, second));
    second = fmaxf(second, fminf(now, best));
    best = fmaxf(best, now);
    bits = 0;
  }
};

// Integers in the order of the numbers.
__device__ inline unsigned in_order(float v) {
  const unsigned bits = __float_as_uint(v);
  return bits ^ (bits >> 31 != 0 ? 0xffffffffU : 0x80000000U);
}
__device__ inline float from_order(unsigned bits) {
  return __uint_as_float(bits ^ (bits >> 31 != 0 ? 0x80000000U : 0xffffffffU));
}

// A vector that a whole warp holds, its nearest centroid by single precision so far, and the best
// score but that one's.
template <int L>
struct Seeker {
  float x[L];
  float doubt;
  float best = FLT_MAX, second = FLT_MAX;
  int label = -1;

  __device__ Seeker(const Job& job, std::int64_t row) {
    load_vector<L>(job.x, row, job.book.length, x);
    doubt = doubt_of<L>(x, *job.book.largest);
  }
  __device__ float limit() const { return best + 2 * doubt; }
  // No other centroid that was tried can be as near, whatever was rounded.
  __device__ bool decided() const { return label >= 0 && second > limit(); }

  // What lane `quad` saw of a chunk, in fp32.
  __device__ void try_run(const Book& book, int chunk, int quad) {
    const int first = first_of_run(chunk, quad) + static_cast<int>(threadIdx.x % kWarp);
    float mine = FLT_MAX;
    float others = FLT_MAX;
    int index = first;
#pragma unroll
    for (int e = 0; e < kInRun; ++e) {
      const int c = first + e * static_cast<int>(kWarp);
      const float value = score<L>(load_centroid<L>(book, min(c, book.count - 1)), x);
      if (c >= book.count) continue;
      others = fminf(others, fmaxf(mine, value));
      index = value < mine ? c : index;
      mine = fminf(mine, value);
    }
    const unsigned least = __reduce_min_sync(kAllLanes, in_order(mine));
    const int winner = __ffs(static_cast<int>(__ballot_sync(kAllLanes, in_order(mine) == least))) - 1;
    const bool won = static_cast<int>(threadIdx.x % kWarp) == winner;
    const float rest = from_order(__reduce_min_sync(kAllLanes, in_order(won ? others : mine)));
    const float value = from_order(least);
    const int found = __shfl_sync(kAllLanes, index, winner);
    second = fminf(second, fminf(rest, fmaxf(best, value)));
    label = value < best ? found : label;
    best = fminf(best, value);
  }

  // The same in double precision, of what single precision cannot rule out.
  __device__ void settle_run(const Book& book, int chunk, int quad, Neighbour& nearest) const {
    const int first = first_of_run(chunk, quad) + static_cast<int>(threadIdx.x % kWarp);
    for (int c = first; c < min(first_of_run(chunk, quad) + kRun, book.count);
         c += static_cast<int>(kWarp)) {
      if (score<L>(load_centroid<L>(book, c), x) > limit()) continue;
      const Neighbour next{squared_distance<L>(x, book.plain[c], book.length), c};
      if (next.before(nearest)) nearest = next;
    }
  }
};

}  // namespace whit::compute::cuda
