#include "compute/cuda/attention.h"

#include "compute/cuda/attention_args.cuh"
#include "compute/cuda/kernel.cuh"
#include "compute/host/attention_shape.h"

namespace whit::compute::cuda {

namespace {

constexpr unsigned kThreads = 128;
constexpr unsigned kLanesPerRow = 4;
constexpr std::int64_t kMostShared = 200 * 1024;

__device__ float score_of(const Attention& a, float dot, std::int64_t head, std::int64_t key) {
  float score = dot * a.scale;
  if (a.softcap > 0) score = a.softcap * tanhf(score / a.softcap);
  if (a.key_bias.data != nullptr) score += a.key_bias[head][key];
  return score;
}

// A tile of queries of one head, and of keys, in shared memory.
template <int kTile>
struct Tiles {
  std::int64_t q_pitch;
  float *q, *k, *v;       // [kTile, q_pitch] twice, [kTile, v_dim]
  float *p, *sum_pv;      // [kTile, kTile + 1], [kTile, v_dim]

  __device__ Tiles(const Attention& a, float* memory)
      : q_pitch(a.q_dim + 1),
        q(memory),
        k(q + kTile * q_pitch),
        v(k + kTile * q_pitch),
        p(v + kTile * a.v_dim),
        sum_pv(p + kTile * (kTile + 1)) {}

  __device__ void load_queries(const Attention& a, std::int64_t head, std::int64_t first) const {
    for (unsigned at = threadIdx.x; at < kTile * a.q_dim; at += kThreads) {
      const std::int64_t i = at / a.q_dim;
      const std::int64_t c = at % a.q_dim;
      q[i * q_pitch + c] =
          first + i < a.queries ? a.q[first + i][a.q_col + head * a.q_step + c] : 0.0F;
    }
    for (unsigned at = threadIdx.x; at < kTile * a.v_dim; at += kThreads) sum_pv[at] = 0.0F;
  }

  __device__ void load_keys(const Attention& a, std::int64_t kv_head, std::int64_t j0) const {
    for (unsigned at = threadIdx.x; at < kTile * a.q_dim; at += kThreads) {
      const std::int64_t j = at / a.q_dim;
      const std::int64_t c = at % a.q_dim;
      float value = 0;
      if (j0 + j < a.keys)
        value = c < a.k_dim ? a.k[j0 + j][a.k_col + kv_head * a.k_step + c]
                            : a.shared[j0 + j][a.shared_col + c - a.k_dim];
      k[j * q_pitch + c] = value;
    }
    for (unsigned at = threadIdx.x; at < kTile * a.v_dim; at += kThreads) {
      const std::int64_t j = at / a.v_dim;
      v[at] = j0 + j < a.keys ? a.v[j0 + j][a.v_col + kv_head * a.v_step + at % a.v_dim] : 0.0F;
    }
  }
};

// One query, four lanes: the largest score so far, and this lane's part of the sum of weights.
struct Query {
  unsigned row, lane;
  bool active;
  std::int64_t position, seen_from;
  float largest = -INFINITY;
  float total = 0;

  template <int kTile>
  __device__ void see(const Attention& a, const Tiles<kTile>& tiles, std::int64_t head,
                      std::int64_t j0) {
    float* p = tiles.p + row * (kTile + 1);
    float tile_largest = -INFINITY;
    for (unsigned j = lane; active && j < kTile; j += kLanesPerRow) {
      float score = -INFINITY;
      if (j0 + j <= position && j0 + j >= seen_from) {
        float dot = 0;
        for (std::int64_t c = 0; c < a.q_dim; ++c)
          dot += tiles.q[row * tiles.q_pitch + c] * tiles.k[j * tiles.q_pitch + c];
        score = score_of(a, dot, head, j0 + j);
      }
      p[j] = score;
      tile_largest = fmaxf(tile_largest, score);
    }
    tile_largest = fmaxf(tile_largest, __shfl_xor_sync(kAllLanes, tile_largest, 1));
    tile_largest = fmaxf(tile_largest, __shfl_xor_sync(kAllLanes, tile_largest, 2));
    const float now_largest = fmaxf(largest, tile_largest);
    const float base = now_largest == -INFINITY ? 0.0F : now_largest;  // no key seen yet
    const float keep = expf(largest - base);
    largest = now_largest;
    total *= keep;
    for (unsigned j = lane; active && j < kTile; j += kLanesPerRow) {
      p[j] = expf(p[j] - base);
      total += p[j];
    }
    __syncwarp();
    float* sum = tiles.sum_pv + row * a.v_dim;
    for (std::int64_t c = lane; active && c < a.v_dim; c += kLanesPerRow) {
      float value = sum[c] * keep;
      for (unsigned j = 0; j < kTile; ++j) value += p[j] * tiles.v[j * a.v_dim + c];
      sum[c] = value;
    }
  }
};

// A tile of kTile queries of one head against kTile keys at a time, four threads a query. Scores
// live in shared memory alone.
template <int kTile>
__global__ void attention_kernel(Attention a) {
  extern __shared__ float memory[];
  const Tiles<kTile> tiles(a, memory);
  const std::int64_t head = blockIdx.y;
  const std::int64_t first_query = static_cast<std::int64_t>(blockIdx.x) * kTile;
  const std::int64_t first_position = a.keys - a.queries + first_query;
  tiles.load_queries(a, head, first_query);
  const unsigned row = threadIdx.x / kLanesPerRow;
  const std::int64_t position = first_position + row;
  Query query{row, threadIdx.x % kLanesPerRow, row < kTile && first_query + row < a.queries,
              position, a.window > 0 && position + 1 > a.window ? position + 1 - a.window : 0};
  const std::int64_t begin = a.window > 0 && first_position + 1 > a.window
                                 ? (first_position + 1 - a.window) / kTile * kTile
                                 : 0;
  const std::int64_t end = min(first_position + kTile, a.keys);
  for (std::int64_t j0 = begin; j0 < end; j0 += kTile) {
    __syncthreads();
    tiles.load_keys(a, head / a.group, j0);
    __syncthreads();
    query.see(a, tiles, head, j0);
  }
  float total = query.total;
  total += __shfl_xor_sync(kAllLanes, total, 1);
  total += __shfl_xor_sync(kAllLanes, total, 2);
  __syncwarp();
  for (std::int64_t c = query.lane; query.active && c < a.v_dim; c += kLanesPerRow)
    a.out[first_query + row][head * a.v_dim + c] = tiles.sum_pv[row * a.v_dim + c] / total;
}

template <int kTile>
std::int64_t shared_bytes(const AttentionArgs& args) {
  return static_cast<std::int64_t>(sizeof(float)) *
         (2 * kTile * (args.q.dim + 1) + 2 * kTile * args.v.dim + kTile * (kTile + 1));
}

template <int kTile>
void launch(const Context& context, const AttentionArgs& args, const Attention& a) {
  const auto bytes = static_cast<int>(shared_bytes<kTile>(args));
  check(cudaFuncSetAttribute(attention_kernel<kTile>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             bytes),
        "attention's shared memory");
  const dim3 grid(static_cast<unsigned>(base::ceil_div<std::int64_t>(a.queries, kTile)),
                  static_cast<unsigned>(args.heads));
  attention_kernel<kTile>
      <<<grid, kThreads, static_cast<std::size_t>(bytes), context.stream()>>>(a);
  context.launched("attention");
}

}  // namespace

void attend(const Context& context, const AttentionArgs& args, MatrixView out) {
  host::check_attention(args, out);
  if (out.rows == 0) return;
  Attention a{};
  a.q = rows_of<float>(args.q.data);
  a.k = rows_of<float>(args.k.data);
  a.v = rows_of<float>(args.v.data);
  a.key_bias = rows_of<float>(args.key_bias);
  a.out = rows_of<float>(out);
  a.q_col = args.q.first_col;
  a.q_step = args.q.head_stride;
  a.k_col = args.k.first_col;
  a.k_step = args.k.head_stride;
  a.v_col = args.v.first_col;
  a.v_step = args.v.head_stride;
  if (args.k_shared) {
    a.shared = rows_of<float>(args.k_shared->data);
    a.shared_col = args.k_shared->first_col;
  }
  a.queries = args.q.data.rows;
  a.keys = args.k.data.rows;
  a.group = args.heads / args.kv_heads;
  a.k_dim = args.k.dim;
  a.q_dim = args.q.dim;
  a.v_dim = args.v.dim;
  a.scale = args.scale;
  a.softcap = args.softcap;
  a.window = args.window;
  if (context.precision() == Precision::kBF16 && attend_bf16(context, a, args.heads)) return;
  const std::int64_t most = std::min<std::int64_t>(
      kMostShared, static_cast<std::int64_t>(context.properties().sharedMemPerBlockOptin));
  if (shared_bytes<32>(args) <= most / 2) return launch<32>(context, args, a);
  if (shared_bytes<16>(args) <= most) return launch<16>(context, args, a);
  require(shared_bytes<4>(args) <= most, "attention: heads of at most 5,000 columns");
  launch<4>(context, args, a);
}

}  // namespace whit::compute::cuda
