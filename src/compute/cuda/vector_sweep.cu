#include "compute/cuda/vector_sweep.h"

#include "compute/cuda/book.cuh"
#include "compute/cuda/moved_columns.h"

// Column after column, two launches each: every warp finds the least score that a slice of the
// codebook has for each of 64 chunks; then a warp a chunk looks closer at the slices that can hold
// one of the nearest, chooses, and moves the chunk's targets in the columns behind. Blocks of 32
// columns move what is behind them by a product.
namespace whit::compute::cuda {

namespace {

constexpr int kColumns = 32;
constexpr unsigned kWarps = 4;  // of a block
constexpr unsigned kThreads = kWarps * kWarp;
constexpr int kChunksALane = 2;
constexpr int kTileChunks = kChunksALane * static_cast<int>(kWarp);
constexpr int kSlicesALane = 8;
constexpr int kSlices = kSlicesALane * static_cast<int>(kWarp);  // at most
constexpr int kShortest = 64;                                    // centroids of a slice, at least

// What the columns of one block share.
struct Columns {
  Book book, residuals;  // residuals.rows null: none
  Rows<const float> u, t0;
  Rows<std::int32_t> indices, second;
  Rows<float> error;
  float* targets;  // [columns, chunks, L]
  float* minima;   // [slices, chunks]
  Neighbour* nearest;  // [chunks, tried]
  std::int64_t rows;
  int chunks, columns, slices, slice, tried;
};

template <int L>
__device__ void load_target(const Columns& columns, int column, int chunk, float (&x)[L]) {
  const auto* from = reinterpret_cast<const float4*>(
      columns.targets + (static_cast<std::int64_t>(column) * columns.chunks + chunk) * L);
#pragma unroll
  for (int q = 0; q < L / 4; ++q) {
    const float4 quad = from[q];
    x[4 * q] = quad.x;
    x[4 * q + 1] = quad.y;
    x[4 * q + 2] = quad.z;
    x[4 * q + 3] = quad.w;
  }
}

template <int L>
__global__ void __launch_bounds__(kThreads) minima_kernel(Columns columns, int column) {
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  const int tiles = (columns.chunks + kTileChunks - 1) / kTileChunks;
  const int warp = static_cast<int>(blockIdx.x * kWarps + threadIdx.x / kWarp);
  const int slice = warp / tiles;
  if (slice >= columns.slices) return;
  float x[kChunksALane][L];
  float least[kChunksALane];
#pragma unroll
  for (int v = 0; v < kChunksALane; ++v) {
    const int chunk = warp % tiles * kTileChunks + v * static_cast<int>(kWarp) + lane;
    load_target<L>(columns, column, min(chunk, columns.chunks - 1), x[v]);
    least[v] = INFINITY;
  }
  const int end = min((slice + 1) * columns.slice, columns.book.count);
#pragma unroll 4
  for (int c = slice * columns.slice; c < end; ++c) {
    const Centroid<L> centroid = load_centroid<L>(columns.book, c);
#pragma unroll
    for (int v = 0; v < kChunksALane; ++v) least[v] = fminf(least[v], score<L>(centroid, x[v]));
  }
#pragma unroll
  for (int v = 0; v < kChunksALane; ++v) {
    const int chunk = warp % tiles * kTileChunks + v * static_cast<int>(kWarp) + lane;
    if (chunk < columns.chunks)
      columns.minima[static_cast<std::int64_t>(slice) * columns.chunks + chunk] = least[v];
  }
}

// The nearest that a warp has found, in order, at most `wanted`.
struct Found {
  Neighbour* list;
  int wanted;
  int have = 0;

  __device__ void insert(const Neighbour& next) {
    const int lane = static_cast<int>(threadIdx.x % kWarp);
    constexpr int kLanes = static_cast<int>(kWarp);
    int place = 0;
    for (int i = 0; i < have; i += kLanes)
      place += __popc(__ballot_sync(kAllLanes, i + lane < have && list[i + lane].before(next)));
    if (place >= wanted) return;
    const int moved = min(have, wanted - 1);  // entries that stay, less those before place
    for (int i = (moved - 1) / kLanes * kLanes; moved > 0 && i + kLanes > place && i >= 0;
         i -= kLanes) {
      const bool moves = i + lane >= place && i + lane < moved;
      const Neighbour entry = moves ? list[i + lane] : next;
      __syncwarp();
      if (moves) list[i + lane + 1] = entry;
      __syncwarp();
    }
    if (lane == 0) list[place] = next;
    have = min(have + 1, wanted);
    __syncwarp();
  }
};

// Finds the nearest among centroids [begin, end) whose scores are not above `limit`.
template <int L>
__device__ void collect(const Book& book, const float (&x)[L], int begin, int end, float limit,
                        Found& found) {
  for (int first = begin; first < end; first += static_cast<int>(kWarp)) {
    const int c = first + static_cast<int>(threadIdx.x % kWarp);
    const bool near = c < end && !(score<L>(load_centroid<L>(book, min(c, end - 1)), x) > limit);
    const Neighbour own{
        near ? squared_distance<L>(x, book.plain[c], book.length) : INFINITY, c};
    for (unsigned all = __ballot_sync(kAllLanes, near); all != 0; all &= all - 1)
      found.insert(shuffled_from(own, __ffs(static_cast<int>(all)) - 1));
  }
}

// The `wanted`-th smallest of a warp's values; infinite where there are fewer.
__device__ float ranked(float (&values)[kSlicesALane], int wanted) {
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  float result = INFINITY;
  for (int i = 0; i < wanted; ++i) {
    float own = values[0];
#pragma unroll
    for (int s = 1; s < kSlicesALane; ++s) own = fminf(own, values[s]);
    result = warp_reduce(own, [](float a, float b) { return fminf(a, b); });
    if (!(result < INFINITY)) return INFINITY;
    const unsigned owners = __ballot_sync(kAllLanes, own == result);
    if (lane != __ffs(static_cast<int>(owners)) - 1) continue;
    bool taken = false;
#pragma unroll
    for (int s = 0; s < kSlicesALane; ++s) {
      if (taken || values[s] != result) continue;
      values[s] = INFINITY;
      taken = true;
    }
  }
  return result;
}

template <int L>
__device__ void find_in_slices(const Columns& columns, const float (&x)[L], int chunk,
                               Found& found) {
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  float minima[kSlicesALane];
#pragma unroll
  for (int s = 0; s < kSlicesALane; ++s) {
    const int slice = s * static_cast<int>(kWarp) + lane;
    minima[s] = slice < columns.slices
                    ? columns.minima[static_cast<std::int64_t>(slice) * columns.chunks + chunk]
                    : INFINITY;
  }
  float sorted[kSlicesALane];
#pragma unroll
  for (int s = 0; s < kSlicesALane; ++s) sorted[s] = minima[s];
  const float limit = ranked(sorted, found.wanted) + 2 * doubt_of<L>(x, *columns.book.largest);
#pragma unroll
  for (int s = 0; s < kSlicesALane; ++s) {
    const bool there = s * static_cast<int>(kWarp) + lane < columns.slices;
    for (unsigned all = __ballot_sync(kAllLanes, there && !(minima[s] > limit)); all != 0;
         all &= all - 1) {
      const int slice = s * static_cast<int>(kWarp) + __ffs(static_cast<int>(all)) - 1;
      collect<L>(columns.book, x, slice * columns.slice,
                 min((slice + 1) * columns.slice, columns.book.count), limit, found);
    }
  }
}

// The residual nearest to `rest`.
template <int L>
__device__ int nearest_residual(const Book& book, const float (&rest)[L]) {
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  float least = INFINITY;
  for (int c = lane; c < book.count; c += static_cast<int>(kWarp))
    least = fminf(least, score<L>(load_centroid<L>(book, c), rest));
  const float limit = warp_reduce(least, [](float a, float b) { return fminf(a, b); }) +
                      2 * doubt_of<L>(rest, *book.largest);
  Neighbour best{INFINITY, INT32_MAX};
  for (int c = lane; c < book.count; c += static_cast<int>(kWarp)) {
    if (score<L>(load_centroid<L>(book, c), rest) > limit) continue;
    const Neighbour next{squared_distance<L>(rest, book.plain[c], book.length), c};
    if (next.before(best)) best = next;
  }
  return first_of_warp(best).index;
}

struct Codes {
  std::int32_t index, second;
};

__device__ bool is_in(std::int32_t index, int count) {
  return index >= 0 && index < count;
}

template <int L>
__device__ Codes choose(const Columns& columns, const float* target, const float (&x)[L],
                        const Found& found, Codes held) {
  const Book& book = columns.book;
  const Book& residuals = columns.residuals;
  if (residuals.rows == nullptr) {
    if (is_in(held.index, book.count) &&
        squared_distance(target, book.plain[held.index], book.length) == found.list[0].square)
      return held;
    return {found.list[0].index, -1};
  }
  double least = INFINITY;
  if (is_in(held.index, book.count) && is_in(held.second, residuals.count))
    least = squared_distance(target, book.plain[held.index], residuals.plain[held.second],
                             book.length);
  for (int i = 0; i < found.have; ++i) {
    const std::int32_t index = found.list[i].index;
    const float* c = book.plain[index];
    float rest[L];
#pragma unroll
    for (int d = 0; d < L; ++d) rest[d] = d < book.length ? x[d] - c[d] : 0.0F;
    const int second = nearest_residual<L>(residuals, rest);
    const double square = squared_distance(target, c, residuals.plain[second], book.length);
    if (!(square < least)) continue;
    least = square;
    held = {index, second};
  }
  return held;
}

template <int L>
__global__ void __launch_bounds__(kThreads) choose_kernel(Columns columns, int column) {
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  const int chunk = static_cast<int>(blockIdx.x * kWarps + threadIdx.x / kWarp);
  if (chunk >= columns.chunks) return;
  const std::int64_t pitch = static_cast<std::int64_t>(columns.chunks) * L;
  float* target = columns.targets + column * pitch + static_cast<std::int64_t>(chunk) * L;
  float x[L];
  load_target<L>(columns, column, chunk, x);
  Found found{columns.nearest + static_cast<std::int64_t>(chunk) * columns.tried, columns.tried};
  find_in_slices<L>(columns, x, chunk, found);
  const bool pairs = columns.residuals.rows != nullptr;
  Codes codes{columns.indices[chunk][column], pairs ? columns.second[chunk][column] : -1};
  codes = choose<L>(columns, target, x, found, codes);
  __syncwarp();
  if (lane == 0) {
    columns.indices[chunk][column] = codes.index;
    if (pairs) columns.second[chunk][column] = codes.second;
  }
  const int behind = column + 1 + lane;
  const float weight = behind < columns.columns ? columns.u[column][behind] : 0.0F;
  for (int d = 0; d < columns.book.length; ++d) {
    const std::int64_t row = static_cast<std::int64_t>(chunk) * columns.book.length + d;
    if (row >= columns.rows) break;
    float value = columns.book.plain[codes.index][d];
    if (pairs) value += columns.residuals.plain[codes.second][d];
    const float lost = columns.t0[row][column] - value;
    if (lane == 0) columns.error[row][column] = lost;
    if (behind < columns.columns) target[(lane + 1) * pitch + d] += lost * weight;
  }
}

// Rows of `targets` become chunks, with zeros where a chunk has none.
void take_chunks(const Context& context, ConstMatrixView targets, std::int64_t length, int held,
                 std::int64_t chunks, float* to) {
  const auto from = rows_of<float>(targets);
  const std::int64_t rows = targets.rows;
  const std::int64_t columns = targets.cols;
  each(context, chunks * held, columns, "cutting chunks",
       [=] __device__(std::int64_t i, std::int64_t k) {
         const std::int64_t d = i % held;
         const std::int64_t row = i / held * length + d;
         to[k * chunks * held + i] = d < length && row < rows ? from[row][k] : 0.0F;
       });
}

template <int L>
void run_columns(const Context& context, const Columns& columns) {
  const int tiles = (columns.chunks + kTileChunks - 1) / kTileChunks;
  const unsigned scans = (static_cast<unsigned>(tiles * columns.slices) + kWarps - 1) / kWarps;
  const unsigned choices = (static_cast<unsigned>(columns.chunks) + kWarps - 1) / kWarps;
  for (int k = 0; k < columns.columns; ++k) {
    minima_kernel<L><<<scans, kThreads, 0, context.stream()>>>(columns, k);
    choose_kernel<L><<<choices, kThreads, 0, context.stream()>>>(columns, k);
  }
  context.launched("sweep of vectors");
}

}  // namespace

void sweep_vectors(const Context& context, const VectorSweepArgs& args, ConstMatrixView t0,
                   ConstMatrixView t, MatrixView indices, MatrixView residual_indices,
                   MatrixView error) {
  const std::int64_t length = args.centroids.cols;
  if (length > kLongestHeld) fail_length(length, kLongestHeld);
  if (t.rows == 0 || t.cols == 0) return;
  require(t.rows <= INT32_MAX / kLongestHeld, "rows that 32 bits count");
  const int held = held_entries(length);
  const bool pairs = args.residuals.data != nullptr;
  const HeldBook book(context, args.centroids);
  const HeldBook residuals(context, pairs ? args.residuals : args.centroids.rows_of(0, 1));
  const auto chunks = static_cast<int>(indices.rows);
  const int count = book.view().count;
  const int slice = std::max(kShortest, static_cast<int>(base::ceil_div(count, kSlices)));
  const int slices = static_cast<int>(base::ceil_div(count, slice));
  const int tried = pairs ? static_cast<int>(std::min<std::int64_t>(args.beam, count)) : 1;
  const Temporary<float> targets(context, static_cast<std::int64_t>(kColumns) * chunks * held);
  const Temporary<float> minima(context, static_cast<std::int64_t>(slices) * chunks);
  const Temporary<Neighbour> nearest(context, static_cast<std::int64_t>(chunks) * tried);
  MovedColumns moved(context, t, kColumns);
  for (std::int64_t k = 0; k < t.cols; k += kColumns) {
    const std::int64_t size = std::min<std::int64_t>(kColumns, t.cols - k);
    take_chunks(context, moved.columns(k, size), length, held, chunks, targets.data());
    const MatrixView lost = error.sub(0, t.rows, k, size);
    Columns columns{};
    columns.book = book.view();
    if (pairs) columns.residuals = residuals.view();
    columns.u = rows_of<float>(args.u.sub(k, size, k, size));
    columns.t0 = rows_of<float>(t0.sub(0, t.rows, k, size));
    columns.indices = rows_of<std::int32_t>(indices.sub(0, chunks, k, size));
    if (pairs) columns.second = rows_of<std::int32_t>(residual_indices.sub(0, chunks, k, size));
    columns.error = rows_of<float>(lost);
    columns.targets = targets.data();
    columns.minima = minima.data();
    columns.nearest = nearest.data();
    columns.rows = t.rows;
    columns.chunks = chunks;
    columns.columns = static_cast<int>(size);
    columns.slices = slices;
    columns.slice = slice;
    columns.tried = tried;
    with_held_entries(length, [&](auto held_length) { run_columns<held_length>(context, columns); });
    moved.advance(k, 1.0F, lost, args.u);
  }
}

}  // namespace whit::compute::cuda
