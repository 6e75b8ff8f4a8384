#pragma once

#include "compute/cuda/book.cuh"

// A warp and its 64 vectors, two a lane, on their way through centroids.
namespace whit::compute::cuda {

inline constexpr int kVectorsALane = 2;
inline constexpr int kTileVectors = kVectorsALane * static_cast<int>(kWarp);

struct Job {
  Rows<const float> x;
  std::int64_t count;
  Book book;
  std::int32_t* labels;
  double* squares;  // or null
  // Vectors for which single precision could not decide, and how many.
  std::int32_t* open;
  int* open_count;
};

template <int L>
struct Seeker {
  float x[L];
  float doubt;
  float best = FLT_MAX, second = FLT_MAX;
  float limit = FLT_MAX;  // scores below it matter
  int label = -1;

  __device__ void start(const Book& book, int guess) {
    label = guess;
    best = score<L>(load_centroid<L>(book, guess), x);
    limit = best + 2 * doubt;
  }
  __device__ void offer(float value, int index) {
    if (!(value < limit) || index == label) return;
    if (value < best) {
      second = best;
      best = value;
      label = index;
      limit = best + 2 * doubt;
    } else {
      second = fminf(second, value);
    }
  }
  // No other centroid that was offered can be as near, whatever was rounded.
  __device__ bool decided() const { return label >= 0 && second > best + 2 * doubt; }
};

// Offers centroids id_of(0), ..., id_of(count - 1), the same to every lane.
template <int L, typename IdOf>
__device__ void offer_all(Seeker<L> (&seekers)[kVectorsALane], const Book& book, int count,
                          IdOf id_of) {
  constexpr int kAtOnce = 4;
  for (int i = 0; i < count; i += kAtOnce) {
    int ids[kAtOnce];
    float scores[kVectorsALane][kAtOnce];
#pragma unroll
    for (int e = 0; e < kAtOnce; ++e) {
      ids[e] = id_of(min(i + e, count - 1));
      const Centroid<L> c = load_centroid<L>(book, ids[e]);
#pragma unroll
      for (int v = 0; v < kVectorsALane; ++v) scores[v][e] = score<L>(c, seekers[v].x);
    }
#pragma unroll
    for (int v = 0; v < kVectorsALane; ++v) {
      const float least = fminf(fminf(scores[v][0], scores[v][1]), fminf(scores[v][2], scores[v][3]));
      if (!(least < seekers[v].limit)) continue;
#pragma unroll
      for (int e = 0; e < kAtOnce; ++e) seekers[v].offer(scores[v][e], ids[e]);
    }
  }
}

// The result of vector `row`, or a note that it takes double precision to tell.
template <int L>
__device__ void finish(const Job& job, const Seeker<L>& seeker, std::int64_t row) {
  job.labels[row] = seeker.label;
  if (!seeker.decided()) {
    job.open[atomicAdd(job.open_count, 1)] = static_cast<std::int32_t>(row);
  } else if (job.squares != nullptr) {
    job.squares[row] =
        squared_distance<L>(seeker.x, job.book.plain[seeker.label], job.book.length);
  }
}

__device__ inline bool is_label(const Book& book, int label) {
  return label >= 0 && label < book.count;
}

}  // namespace whit::compute::cuda
