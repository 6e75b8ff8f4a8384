#include "compute/cuda/nearest.cuh"

#include "compute/cuda/nearest.h"

// Exact assignment by tensor cores. Sums in fp16 products and fp32 say of each run of 128 centroids
// how near its nearest can be; the few runs that can hold the nearest are tried in fp32, and what
// fp32 cannot tell apart is decided in double precision. A warp takes 64 vectors through the whole
// codebook, which lies in shared memory a stage at a time.
namespace whit::compute::cuda {

namespace {

constexpr int kWarps = 8;  // of a block
constexpr unsigned kThreads = kWarps * kWarp;

template <int L>
using Operands = std::uint32_t[kFragments][kSteps<L>][2];

// The rows that this lane holds entries of: 8 apart, from its quad's.
template <int L>
__device__ void load_operands(const Job& job, float factor, std::int64_t first, Operands<L>& a) {
  const int lane = static_cast<int>(threadIdx.x % kWarp);
#pragma unroll
  for (int slot = 0; slot < kSlots; ++slot) {
    const float* x = job.x[min(first + 8 * slot + lane / kQuad, job.count - 1)];
    const auto entry = [&](int d) { return d < job.book.length ? x[d] * factor : 0.0F; };
#pragma unroll
    for (int s = 0; s < kSteps<L>; ++s) {
      const int k = 8 * s + 2 * (lane % kQuad);
      a[slot / 2][s][slot % 2] =
          packed(vector_operand<L>(k, entry), vector_operand<L>(k + 1, entry));
    }
  }
}

template <int L>
__device__ void fetch(const Stage<L>& from, Stage<L>& to) {
  constexpr int kPieces = sizeof(Stage<L>) / sizeof(float4);
  static_assert(sizeof(Stage<L>) % sizeof(float4) == 0);
  for (int i = static_cast<int>(threadIdx.x); i < kPieces; i += kThreads)
    __pipeline_memcpy_async(reinterpret_cast<float4*>(&to) + i,
                            reinterpret_cast<const float4*>(&from) + i, sizeof(float4));
  __pipeline_commit();
}

template <int L>
__device__ void see_stage(const Stage<L>& stage, const Operands<L>& a, Tops (&tops)[kSlots]) {
  const int lane = static_cast<int>(threadIdx.x % kWarp);
#pragma unroll 4
  for (int tile = 0; tile < kStageTiles; ++tile) {
    std::uint32_t b[kSteps<L>];
#pragma unroll
    for (int s = 0; s < kSteps<L>; ++s) b[s] = stage.operands[tile][s][lane];
    const float4 start = stage.starts[tile][lane % kQuad];
    float sums[kFragments][4];
#pragma unroll
    for (int f = 0; f < kFragments; ++f) multiply_steps(sums[f], a[f], b, start);
#pragma unroll
    for (int f = 0; f < kFragments; ++f) {
      tops[2 * f].see(sums[f][0], sums[f][1]);
      tops[2 * f + 1].see(sums[f][2], sums[f][3]);
    }
  }
}

template <int L>
__device__ void see_all(const Job& job, const Screen<L>& screen, float factor, std::int64_t first,
                        Stage<L> (&held)[2], Tops (&tops)[kSlots]) {
  Operands<L> a;
  load_operands<L>(job, factor, first, a);
  fetch(screen.stages[0], held[0]);
  for (int at = 0; at < screen.count; ++at) {
    __pipeline_wait_prior(0);
    __syncthreads();
    if (at + 1 < screen.count) fetch(screen.stages[at + 1], held[(at + 1) % 2]);
    see_stage<L>(held[at % 2], a, tops);
    constexpr int kStages = kChunkTiles / kStageTiles;
    if (at % kStages != kStages - 1) continue;
#pragma unroll
    for (Tops& top : tops) top.close(at / kStages);
  }
}

// What becomes of a vector.
enum Fate : int { kWritten, kDecided, kOpen };

// Calls body(chunk, quad) for the lanes in `lanes` with what each has.
template <typename Body>
__device__ void each_run(unsigned lanes, int chunk, Body body) {
  for (; lanes != 0; lanes &= lanes - 1) {
    const int lane = __ffs(static_cast<int>(lanes)) - 1;
    body(__shfl_sync(kAllLanes, chunk, lane), lane % kQuad);
  }
}

// One vector, the whole warp at it: `top` is what this lane saw of it if it is of the quad `mine`,
// `run` the chunk and lane with the largest sum.
template <int L>
__device__ Fate decide(const Job& job, float factor, const Tops& top, bool mine, int run,
                       std::int64_t row, Seeker<L>& seeker) {
  seeker.try_run(job.book, run / kQuad, run % kQuad);
  float square = 0;
#pragma unroll
  for (int d = 0; d < L; ++d) square = fmaf(seeker.x[d], seeker.x[d], square);
  const float largest = *job.book.largest * factor;
  const float slack = slack_of<L>(sqrtf(square) * factor, largest);
  const float least = shift_of(largest) - seeker.limit() * factor * factor - slack;
  const int own = top.chunk * kQuad + static_cast<int>(threadIdx.x) % kQuad;
  const unsigned best = __ballot_sync(kAllLanes, mine && top.best >= least && own != run);
  const unsigned second = __ballot_sync(kAllLanes, mine && top.second >= least);
  if (__any_sync(kAllLanes, mine && top.third >= least)) return kOpen;
  const auto try_one = [&](int chunk, int quad) { seeker.try_run(job.book, chunk, quad); };
  each_run(best, top.chunk, try_one);
  each_run(second, top.next, try_one);
  if (seeker.decided()) return kDecided;
  if (seeker.label < 0) return kOpen;
  Neighbour nearest{INFINITY, INT32_MAX};
  const auto settle = [&](int chunk, int quad) {
    seeker.settle_run(job.book, chunk, quad, nearest);
  };
  settle(run / kQuad, run % kQuad);
  each_run(best, top.chunk, settle);
  each_run(second, top.next, settle);
  nearest = first_of_warp(nearest);
  if (threadIdx.x % kWarp == 0) {
    job.labels[row] = nearest.index;
    if (job.squares != nullptr) job.squares[row] = nearest.square;
  }
  return kWritten;
}

// The chunk and lane of a quad with the largest sum, and whether there is one.
struct Largest {
  float value;
  int run;
  __device__ explicit Largest(const Tops& top)
      : value(top.best), run(top.chunk * kQuad + static_cast<int>(threadIdx.x) % kQuad) {
#pragma unroll
    for (int distance = 1; distance < kQuad; distance *= 2) {
      const float other = __shfl_xor_sync(kAllLanes, value, distance);
      const int there = __shfl_xor_sync(kAllLanes, run, distance);
      if (!(other > value || (other == value && there < run))) continue;
      value = other;
      run = there;
    }
  }
};

template <int L>
__device__ void write(const Job& job, std::int64_t row, int label, Fate fate) {
  if (row >= job.count || fate == kWritten) return;
  job.labels[row] = max(label, 0);
  if (fate == kOpen) {
    job.open[atomicAdd(job.open_count, 1)] = static_cast<std::int32_t>(row);
  } else if (job.squares != nullptr) {
    float x[L];
    load_vector<L>(job.x, row, job.book.length, x);
    job.squares[row] = squared_distance<L>(x, job.book.plain[label], job.book.length);
  }
}

template <int L>
__global__ void __launch_bounds__(kThreads, 2) screen_kernel(Job job, Screen<L> screen) {
  __shared__ Stage<L> held[2];
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  const std::int64_t warp = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  const std::int64_t first = warp * kTileVectors;
  const Scale scale = screen.scale(job.book);
  Tops tops[kSlots];
  if (scale.usable) see_all<L>(job, screen, scale.factor, first, held, tops);
  int labels[kVectorsALane] = {};
  Fate fates[kVectorsALane] = {};
#pragma unroll
  for (int slot = 0; slot < kSlots; ++slot) {
    const Largest largest(tops[slot]);
#pragma unroll 1
    for (int quad = 0; quad < 8; ++quad) {
      const std::int64_t row = first + 8 * slot + quad;
      if (row >= job.count) break;
      Seeker<L> seeker(job, row);
      const bool any = __shfl_sync(kAllLanes, largest.value, kQuad * quad) > -INFINITY;
      const int run = __shfl_sync(kAllLanes, largest.run, kQuad * quad);
      const Fate fate = any ? decide<L>(job, scale.factor, tops[slot], lane / kQuad == quad, run,
                                        row, seeker)
                            : kOpen;
      if (lane != slot % 4 * 8 + quad) continue;
      labels[slot / 4] = seeker.label;
      fates[slot / 4] = fate;
    }
  }
#pragma unroll
  for (int v = 0; v < kVectorsALane; ++v)
    write<L>(job, first + v * static_cast<int>(kWarp) + lane, labels[v], fates[v]);
}

// Vectors that an open list's warp takes at once.
template <int L>
inline constexpr int kTogether = L <= 8 ? 4 : L <= 16 ? 2 : 1;

// The whole codebook, in double precision wherever single precision cannot rule a centroid out.
template <int L>
__global__ void __launch_bounds__(kThreads) open_kernel(Job job) {
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  const int count = *job.open_count;
  constexpr int kEach = kTogether<L>;
  for (int i = static_cast<int>(blockIdx.x * kWarps + threadIdx.x / kWarp) * kEach; i < count;
       i += static_cast<int>(gridDim.x) * kWarps * kEach) {
    float x[kEach][L];
    float limit[kEach];
    Neighbour best[kEach];
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      const std::int32_t row = job.open[min(i + e, count - 1)];
      load_vector<L>(job.x, row, job.book.length, x[e]);
      const int guess = job.labels[row];
      limit[e] = score<L>(load_centroid<L>(job.book, guess), x[e]) +
                 2 * doubt_of<L>(x[e], *job.book.largest);
      best[e] = {squared_distance<L>(x[e], job.book.plain[guess], job.book.length), guess};
    }
    for (int c = lane; c < job.book.count; c += static_cast<int>(kWarp)) {
      const Centroid<L> centroid = load_centroid<L>(job.book, c);
#pragma unroll
      for (int e = 0; e < kEach; ++e) {
        if (score<L>(centroid, x[e]) > limit[e]) continue;
        const Neighbour next{squared_distance<L>(x[e], job.book.plain[c], job.book.length), c};
        if (next.before(best[e])) best[e] = next;
      }
    }
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      best[e] = first_of_warp(best[e]);
      if (lane != 0 || i + e >= count) continue;
      const std::int32_t row = job.open[i + e];
      job.labels[row] = best[e].index;
      if (job.squares != nullptr) job.squares[row] = best[e].square;
    }
  }
}

// Vectors that no register holds: every distance in double precision, a warp a vector.
__global__ void __launch_bounds__(kThreads)
    long_kernel(Rows<const float> x, std::int64_t rows, Rows<const float> centroids, int count,
                int length, std::int32_t* labels, double* squares) {
  for (std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
       row < rows; row += static_cast<std::int64_t>(gridDim.x) * kWarps) {
    Neighbour best{INFINITY, INT32_MAX};
    for (int c = static_cast<int>(threadIdx.x % kWarp); c < count; c += static_cast<int>(kWarp)) {
      const Neighbour next{squared_distance(x[row], centroids[c], length), c};
      if (next.before(best)) best = next;
    }
    best = first_of_warp(best);
    if (threadIdx.x % kWarp != 0) continue;
    labels[row] = best.index;
    if (squares != nullptr) squares[row] = best.square;
  }
}

unsigned blocks_for(std::int64_t warps) {
  return static_cast<unsigned>(base::ceil_div<std::int64_t>(warps, kWarps));
}

template <int L>
void search(const Context& context, const Job& job) {
  const HeldScreen<L> screen(context, job.book, job.x, job.count);
  const unsigned blocks = blocks_for(base::ceil_div<std::int64_t>(job.count, kTileVectors));
  screen_kernel<L><<<blocks, kThreads, 0, context.stream()>>>(job, screen.view());
  context.launched("nearest centroids");
  open_kernel<L><<<4 * static_cast<unsigned>(context.properties().multiProcessorCount), kThreads, 0,
                   context.stream()>>>(job);
  context.launched("near ties");
}

}  // namespace

void find_nearest(const Context& context, ConstMatrixView x, ConstMatrixView centroids,
                  std::int32_t* labels, double* squares) {
  if (x.rows == 0) return;
  require(x.rows <= INT32_MAX, "vectors that 32 bits count");
  if (centroids.cols > kLongestHeld || centroids.rows >= 1 << 24) {
    require(centroids.rows <= INT32_MAX, "centroids that 32 bits count");
    const auto blocks =
        static_cast<unsigned>(std::min<std::int64_t>(blocks_for(x.rows), 1 << 20));
    long_kernel<<<blocks, kThreads, 0, context.stream()>>>(
        rows_of<float>(x), x.rows, rows_of<float>(centroids), static_cast<int>(centroids.rows),
        static_cast<int>(centroids.cols), labels, squares);
    context.launched("nearest of long vectors");
    return;
  }
  const HeldBook book(context, centroids);
  const Temporary<std::int32_t> open(context, x.rows);
  const Temporary<int> open_count(context, 1);
  open_count.clear();
  const Job job{rows_of<float>(x), x.rows,      book.view(),      labels,
                squares,           open.data(), open_count.data()};
  with_held_entries(centroids.cols, [&](auto held) { search<held>(context, job); });
}

}  // namespace whit::compute::cuda
