#include "compute/cuda/nearest.cuh"

#include <optional>

#include "compute/cuda/label_order.h"
#include "compute/cuda/nearest.h"

// Exact assignment without looking at most centroids. Vectors are sorted by their guesses, and those
// of one guess by how far they are from it; a warp takes 64 of them. By the triangle inequality none
// has its nearest centroid farther from the guess than twice the largest of those distances. The
// warps of a block scan the codebook together for what is nearer than that to any of their guesses,
// and each then goes through its own list. Without good guesses, some centroids are tried with every
// vector first, and one pass over lists of narrower reach makes the guesses good.
namespace whit::compute::cuda {

namespace {

constexpr int kWarps = 8;  // of a block
constexpr unsigned kThreads = kWarps * kWarp;
constexpr int kPiece = 1024;   // centroids scanned between two looks at the lists
constexpr int kListed = 2048;  // entries of a list
constexpr int kTried = 2048;   // centroids that stand for the codebook where there is no guess
constexpr float kReach = 1.7F;  // of a pass that makes guesses good, in mean distances
constexpr std::size_t kShared = sizeof(std::int32_t) * kWarps * kListed;

struct Tile {
  std::int32_t first, count, guess;
};

struct Tiles {
  const Tile* tiles;
  const std::int32_t* turns;  // the order to take them in
  const std::int32_t* count;
  const std::int32_t* places;
};

template <int L>
__global__ void __launch_bounds__(kThreads)
    trial_kernel(Job job, int count, int step, bool last) {
  const std::int64_t warp = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  const std::int64_t first = warp * kTileVectors + threadIdx.x % kWarp;
  if (warp * kTileVectors >= job.count) return;
  Seeker<L> seekers[kVectorsALane];
  bool guessed = true;
#pragma unroll
  for (int v = 0; v < kVectorsALane; ++v) {
    const std::int64_t row = min(first + v * static_cast<int>(kWarp), job.count - 1);
    load_vector<L>(job.x, row, job.book.length, seekers[v].x);
    seekers[v].doubt = doubt_of<L>(seekers[v].x, *job.book.largest);
    const int guess = job.labels[row];
    if (is_label(job.book, guess)) seekers[v].start(job.book, guess);
    guessed = guessed && is_label(job.book, guess);
  }
  if (!last && __all_sync(kAllLanes, guessed)) return;
  offer_all<L>(seekers, job.book, count, [=](int i) { return i * step; });
#pragma unroll
  for (int v = 0; v < kVectorsALane; ++v) {
    const std::int64_t row = first + v * static_cast<int>(kWarp);
    if (row >= job.count) continue;
    if (last)
      finish<L>(job, seekers[v], row);
    else
      job.labels[row] = max(seekers[v].label, 0);  // scores beyond fp32's range leave none
  }
}

// The sort key: the guess, then the distance to it to about 3 %, modulo a factor of 256.
template <int L>
__global__ void key_kernel(Job job, std::uint32_t* keys) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= job.count) return;
  float x[L];
  load_vector<L>(job.x, row, job.book.length, x);
  const int guess = job.labels[row];
  const float away = distance<L>(load_centroid<L>(job.book, guess), x);
  keys[row] = static_cast<std::uint32_t>(guess) << 8 | (__float_as_uint(away) >> 18 & 0xffU);
}

// How far, as a score around the tile's guess, the nearest centroids can be: -inf for no tile.
template <int L>
__device__ float reach_of(const Seeker<L> (&seekers)[kVectorsALane], const Book& book,
                          const Centroid<L>& center, int vectors, float narrowed) {
  float farthest = 0;
  float sum = 0;
#pragma unroll
  for (int v = 0; v < kVectorsALane; ++v) {
    const int at = static_cast<int>(threadIdx.x % kWarp) + v * static_cast<int>(kWarp);
    const float away = distance<L>(center, seekers[v].x);
    farthest = fmaxf(farthest, away);
    sum += at < vectors ? away : 0.0F;
  }
  farthest = warp_reduce(farthest, Larger{});
  sum = warp_reduce(sum, Plus{});
  float radius = 2 * farthest * kWider + kLeastDistance;
  if (narrowed > 0) radius = fminf(radius, narrowed * sum / static_cast<float>(vectors));
  if (vectors == 0) return -INFINITY;
  const float doubt = (L + 4) * 0x1p-23F * 2 * *book.largest * *book.largest + FLT_MIN;
  return radius * radius * kWider / 2 - center.half + doubt + 1e-6F * center.half;
}

// Adds what is within reach of each of the block's guesses to its list: this warp's part of a piece.
template <int L>
__device__ void list_piece(const Book& book, int piece, const float (&centers)[kWarps][L],
                           const float (&reach)[kWarps], int (&listed)[kWarps],
                           std::int32_t* lists) {
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  const int warp = static_cast<int>(threadIdx.x / kWarp);
  constexpr int kPart = kPiece / kWarps;
#pragma unroll 1
  for (int at = 0; at < kPart; at += 2 * static_cast<int>(kWarp)) {
    int ids[2];
    Centroid<L> c[2];
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      ids[e] = piece + warp * kPart + at + e * static_cast<int>(kWarp) + lane;
      c[e] = load_centroid<L>(book, min(ids[e], book.count - 1));
    }
#pragma unroll 2
    for (int t = 0; t < kWarps; ++t) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const bool near = !(score<L>(c[e], centers[t]) > reach[t]) && ids[e] < book.count;
        const unsigned all = __ballot_sync(kAllLanes, near);
        if (all == 0) continue;
        int place = 0;
        if (lane == 0) place = atomicAdd(&listed[t], __popc(all));
        place = __shfl_sync(kAllLanes, place, 0) + __popc(all & ((1U << lane) - 1));
        if (near) lists[t * kListed + place] = ids[e];
      }
    }
  }
}

template <int L>
__global__ void __launch_bounds__(kThreads)
    tile_kernel(Job job, Tiles tiles, float narrowed) {
  extern __shared__ std::int32_t lists[];
  __shared__ float centers[kWarps][L];
  __shared__ float reach[kWarps];
  __shared__ int listed[kWarps];
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  const int warp = static_cast<int>(threadIdx.x / kWarp);
  const int all = *tiles.count;
  if (static_cast<int>(blockIdx.x) * kWarps >= all) return;
  const int number = static_cast<int>(blockIdx.x) * kWarps + warp;
  const Tile tile = number < all ? tiles.tiles[tiles.turns[number]] : Tile{0, 0, 0};
  Seeker<L> seekers[kVectorsALane];
  std::int64_t rows[kVectorsALane];
#pragma unroll
  for (int v = 0; v < kVectorsALane; ++v) {
    const int at = lane + v * static_cast<int>(kWarp);
    rows[v] = tiles.places[tile.first + min(at, max(tile.count - 1, 0))];
    load_vector<L>(job.x, rows[v], job.book.length, seekers[v].x);
    seekers[v].doubt = doubt_of<L>(seekers[v].x, *job.book.largest);
    seekers[v].start(job.book, tile.guess);
  }
  const Centroid<L> center = load_centroid<L>(job.book, tile.guess);
  const float within = reach_of<L>(seekers, job.book, center, tile.count, narrowed);
  if (lane == 0) {
#pragma unroll
    for (int q = 0; q < L / 4; ++q) reinterpret_cast<float4*>(centers[warp])[q] = center.quads[q];
    reach[warp] = within;
    listed[warp] = 0;
  }
  __syncthreads();
  for (int piece = 0; piece < job.book.count; piece += kPiece) {
    list_piece<L>(job.book, piece, centers, reach, listed, lists);
    __syncthreads();
    int longest = 0;
#pragma unroll
    for (int t = 0; t < kWarps; ++t) longest = max(longest, listed[t]);
    __syncthreads();
    if (longest <= kListed - kPiece && piece + kPiece < job.book.count) continue;
    const std::int32_t* list = lists + warp * kListed;
    offer_all<L>(seekers, job.book, listed[warp], [=](int i) { return list[i]; });
    __syncthreads();
    if (lane == 0) listed[warp] = 0;
    __syncthreads();
  }
#pragma unroll
  for (int v = 0; v < kVectorsALane; ++v) {
    if (lane + v * static_cast<int>(kWarp) >= tile.count) continue;
    if (narrowed > 0)
      job.labels[rows[v]] = seekers[v].label;
    else
      finish<L>(job, seekers[v], rows[v]);
  }
}

// What single precision left open, a warp each: double precision wherever it may matter.
template <int L>
__global__ void __launch_bounds__(kThreads) open_kernel(Job job) {
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  const int count = *job.open_count;
  for (int i = static_cast<int>(blockIdx.x * kWarps + threadIdx.x / kWarp); i < count;
       i += static_cast<int>(gridDim.x) * kWarps) {
    const std::int32_t row = job.open[i];
    float x[L];
    load_vector<L>(job.x, row, job.book.length, x);
    const int guess = max(job.labels[row], 0);
    const float limit = score<L>(load_centroid<L>(job.book, guess), x) +
                        2 * doubt_of<L>(x, *job.book.largest);
    Neighbour best{squared_distance<L>(x, job.book.plain[guess], job.book.length), guess};
    for (int c = lane; c < job.book.count; c += static_cast<int>(kWarp)) {
      if (score<L>(load_centroid<L>(job.book, c), x) > limit) continue;
      const Neighbour next{squared_distance<L>(x, job.book.plain[c], job.book.length), c};
      if (next.before(best)) best = next;
    }
    best = first_of_warp(best);
    if (lane != 0) continue;
    job.labels[row] = best.index;
    if (job.squares != nullptr) job.squares[row] = best.square;
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

// Tiles and a key of each, 255 behind the last: the logarithm of its largest distance over the
// cluster's middle one, descending. Tiles with lists about as long wait little for each other.
void cut_tiles(const Context& context, const KeyOrder& order, std::int64_t clusters, Tile* tiles,
               std::uint32_t* lengths, std::int32_t* all) {
  const Temporary<std::int32_t> first(context, clusters + 1);
  const Temporary<std::int32_t> counts(context, clusters + 1);
  const Temporary<std::int32_t> before(context, clusters + 1);
  find_clusters(context, order, 8, clusters, first.data());
  const std::int32_t* from = first.data();
  std::int32_t* count = counts.data();
  each(context, 1, clusters + 1, "counting tiles", [=] __device__(std::int64_t, std::int64_t c) {
    count[c] = c < clusters ? (from[c + 1] - from[c] + kTileVectors - 1) / kTileVectors : 0;
  });
  running_sums(context, counts.data(), before.data(), clusters + 1);
  const std::int32_t* at = before.data();
  const std::uint32_t* keys = order.keys();
  each(context, 1, clusters + 1, "cutting tiles", [=] __device__(std::int64_t, std::int64_t c) {
    if (c == clusters) {
      *all = at[c];
      return;
    }
    const int middle = from[c] + (from[c + 1] - from[c]) / 2;
    for (int i = 0; i < count[c]; ++i) {
      const int begin = from[c] + i * kTileVectors;
      const int size = min(kTileVectors, from[c + 1] - begin);
      tiles[at[c] + i] = {begin, size, static_cast<int>(c)};
      const auto over = static_cast<signed char>(keys[begin + size - 1] - keys[middle] & 0xffU);
      lengths[at[c] + i] = static_cast<std::uint32_t>(min(127 - over, 254));
    }
  });
}

// Lists of up to 64 vectors of one guess.
class GuessTiles {
 public:
  template <int L>
  GuessTiles(const Context& context, const Job& job, std::integral_constant<int, L>)
      : most_(job.book.count + job.count / kTileVectors + 1),
        tiles_(context, most_),
        count_(context, 1) {
    const Temporary<std::uint32_t> keys(context, job.count);
    key_kernel<L><<<static_cast<unsigned>(base::ceil_div<std::int64_t>(job.count, kThreads)),
                    kThreads, 0, context.stream()>>>(job, keys.data());
    context.launched("keys of vectors");
    order_.emplace(context, keys, 8 + bits_for(job.book.count));
    const Temporary<std::uint32_t> lengths(context, most_);
    check(cudaMemsetAsync(lengths.data(), 0xff, static_cast<std::size_t>(most_) * 4,
                          context.stream()),
          "clearing of keys");
    cut_tiles(context, *order_, job.book.count, tiles_.data(), lengths.data(), count_.data());
    turns_.emplace(context, lengths, 8);
  }
  Tiles view() const {
    return {tiles_.data(), turns_->places(), count_.data(), order_->places()};
  }
  std::int64_t most() const { return most_; }

 private:
  std::int64_t most_;
  Temporary<Tile> tiles_;
  Temporary<std::int32_t> count_;
  std::optional<KeyOrder> order_, turns_;
};

template <int L>
void pass_over_tiles(const Context& context, const Job& job, float narrowed) {
  const GuessTiles tiles(context, job, std::integral_constant<int, L>{});
  check(cudaFuncSetAttribute(tile_kernel<L>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(kShared)),
        "shared memory of lists");
  tile_kernel<L><<<blocks_for(tiles.most()), kThreads, kShared, context.stream()>>>(
      job, tiles.view(), narrowed);
  context.launched("nearest centroids");
}

template <int L>
void search(const Context& context, const Job& job, bool guessed) {
  // Few enough to try them all.
  const bool few = job.book.count <= kTried;
  const int tried = few ? job.book.count : kTried;
  const unsigned blocks = blocks_for(base::ceil_div<std::int64_t>(job.count, kTileVectors));
  trial_kernel<L><<<blocks, kThreads, 0, context.stream()>>>(job, tried, job.book.count / tried,
                                                             few);
  context.launched("trial of centroids");
  if (!few && !guessed) pass_over_tiles<L>(context, job, kReach);
  if (!few) pass_over_tiles<L>(context, job, 0);
  open_kernel<L><<<4 * static_cast<unsigned>(context.properties().multiProcessorCount), kThreads, 0,
                   context.stream()>>>(job);
  context.launched("near ties");
}

}  // namespace

void find_nearest(const Context& context, ConstMatrixView x, ConstMatrixView centroids,
                  bool guessed, std::int32_t* labels, double* squares) {
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
  with_held_entries(centroids.cols, [&](auto held) { search<held>(context, job, guessed); });
}

}  // namespace whit::compute::cuda
