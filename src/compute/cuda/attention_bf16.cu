#include <cuda_bf16.h>

#include "compute/cuda/attention_args.cuh"
#include "compute/cuda/kernel.cuh"

// Attention with BF16 products on tensor cores (mma.sync m16n8k16, sums in fp32): a block of eight
// warps takes 128 queries of one head, sixteen a warp, against 64 keys at a time, while the next 64
// are on their way; scores and sums stay in registers (FlashAttention-2, arXiv:2307.08691). Keys
// and values, which every block of queries reads again, are rounded to BF16 once before.
namespace whit::compute::cuda {

namespace {

constexpr int kQueries = 128;
constexpr int kKeys = 64;
constexpr unsigned kThreads = 256;
constexpr int kPad = 8;  // elements: rows of a tile start in different banks

using Bits = std::uint16_t;

__device__ std::uint32_t packed(float low, float high) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&both);
}

__device__ std::uint32_t shared_address(const void* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}

__device__ void load_matrices(std::uint32_t (&out)[4], const Bits* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(shared_address(row)));
}

__device__ void load_transposed(std::uint32_t (&out)[4], const Bits* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(shared_address(row)));
}

// c[16,8] += a[16,16] b[16,8].
__device__ void multiply_add(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                             std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// kRows rows of `dim` values, as BF16 into [kRows, kWidth + kPad]; zeros beyond.
template <int kRows, int kWidth, typename Source>
__device__ void load_tile(Bits* tile, const Source& source) {
  constexpr int kQuads = kWidth / 4;
  for (int at = static_cast<int>(threadIdx.x); at < kRows * kQuads; at += kThreads) {
    const int i = at / kQuads;
    const int c = at % kQuads * 4;
    const float4 v = source(i, c);
    *reinterpret_cast<uint2*>(tile + i * (kWidth + kPad) + c) =
        make_uint2(packed(v.x, v.y), packed(v.z, v.w));
  }
}

// Four values of a row from column c on; zeros from column `dim` on.
__device__ float4 quad(const float* row, std::int64_t c, std::int64_t dim) {
  if (c + 4 <= dim && (reinterpret_cast<std::uintptr_t>(row + c) & 15U) == 0)
    return *reinterpret_cast<const float4*>(row + c);
  float v[4];
  for (int e = 0; e < 4; ++e) v[e] = c + e < dim ? row[c + e] : 0.0F;
  return make_float4(v[0], v[1], v[2], v[3]);
}

// Keys and values of one call in BF16, [kv_heads, keys, width], zeros beyond a head's columns.
struct Rounded {
  const Bits* k;
  const Bits* v;
};

// 2^x.
__device__ float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

constexpr float kLog2E = 1.44269504F;

// Which keys a query may see, and how its scores are made, times log2(e).
struct Visible {
  const Attention& a;
  std::int64_t head;
  int window;
  bool plain;    // scaled dot products of every key up to the query's own
  float factor;  // of a plain dot product

  __device__ Visible(const Attention& attention, std::int64_t of_head)
      : a(attention),
        head(of_head),
        window(static_cast<int>(attention.window)),
        plain(attention.window == 0 && attention.softcap == 0 &&
              attention.key_bias.data == nullptr),
        factor(attention.scale * kLog2E) {}

  __device__ float score(float dot, int position, int key) const {
    if (key > position || (window > 0 && key + window <= position)) return -INFINITY;
    if (plain) return dot * factor;
    float s = dot * a.scale;
    if (a.softcap > 0) s = a.softcap * tanhf(s / a.softcap);
    if (a.key_bias.data != nullptr) s += a.key_bias[head][key];
    return s * kLog2E;
  }
};

__device__ void copy_async(Bits* to, const Bits* from, bool there) {
  const int bytes = there ? 16 : 0;  // the rest becomes zeros
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
               "l"(from), "r"(bytes));
}

// Rows [0, kKeys) of [.., kWidth] into a tile; those from `rows` on become zeros.
template <int kWidth>
__device__ void copy_rows(Bits* tile, const Bits* from, int rows) {
  constexpr int kPieces = kWidth / 8;
  for (int at = static_cast<int>(threadIdx.x); at < kKeys * kPieces; at += kThreads) {
    const int j = at / kPieces;
    const int c = at % kPieces * 8;
    const bool there = j < rows;
    copy_async(tile + j * (kWidth + kPad) + c, from + (there ? j * kWidth + c : 0), there);
  }
}

// The keys and values of one step, on their way into shared memory.
template <int kQk, int kV>
struct KeyTiles {
  static constexpr int kElements = kKeys * (kQk + kPad + kV + kPad);
  Bits* memory;
  const Bits* keys;    // of the head
  const Bits* values;  // of the head
  int count;

  __device__ Bits* k(int slot) const { return memory + slot * kElements; }
  __device__ Bits* v(int slot) const { return k(slot) + kKeys * (kQk + kPad); }
  __device__ void fetch(int slot, int j0) const {
    copy_rows<kQk>(k(slot), keys + static_cast<std::int64_t>(j0) * kQk, count - j0);
    copy_rows<kV>(v(slot), values + static_cast<std::int64_t>(j0) * kV, count - j0);
    asm volatile("cp.async.commit_group;");
  }
};

// Sixteen queries of a warp and their state: entry 2h + e of a group of four belongs to row
// lane/4 + 8h, column 2 (lane % 4) + e.
template <int kQk, int kV>
struct Warp {
  float out[kV / 8][4] = {};
  float scores[kKeys / 8][4];
  float largest[2] = {-INFINITY, -INFINITY};
  float total[2] = {0, 0};
  int lane;

  __device__ void score(const Bits* q, const Bits* k) {
#pragma unroll
    for (int j = 0; j < kKeys / 8; ++j)
      for (float& s : scores[j]) s = 0;
#pragma unroll
    for (int c = 0; c < kQk; c += 16) {
      std::uint32_t left[4];
      load_matrices(left, q + (lane % 16) * (kQk + kPad) + c + lane / 16 * 8);
#pragma unroll
      for (int j = 0; j < kKeys; j += 16) {
        std::uint32_t right[4];
        load_matrices(right, k + (j + lane / 16 * 8 + lane % 8) * (kQk + kPad) + c + lane / 8 % 2 * 8);
        multiply_add(scores[j / 8], left, right[0], right[1]);
        multiply_add(scores[j / 8 + 1], left, right[2], right[3]);
      }
    }
  }

  // position: of the lane's first query. Scores of keys from j0 on become weights; what was summed
  // before shrinks to the new largest.
  __device__ void weigh(const Visible& visible, int position, int j0) {
    float now[2] = {largest[0], largest[1]};
    const bool all = visible.plain && j0 + kKeys - 1 <= position - lane / 4;
#pragma unroll
    for (int j = 0; j < kKeys / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        float& s = scores[j][e];
        s = all ? s * visible.factor
                : visible.score(s, position + e / 2 * 8, j0 + j * 8 + lane % 4 * 2 + e % 2);
        now[e / 2] = fmaxf(now[e / 2], s);
      }
    }
    float base[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      now[half] = fmaxf(now[half], __shfl_xor_sync(kAllLanes, now[half], 1));
      now[half] = fmaxf(now[half], __shfl_xor_sync(kAllLanes, now[half], 2));
      base[half] = now[half] == -INFINITY ? 0.0F : now[half];  // no key seen yet
      const float keep = power_of_two(largest[half] - base[half]);
      largest[half] = now[half];
      total[half] *= keep;
#pragma unroll
      for (int c = 0; c < kV / 8; ++c) {
        out[c][2 * half] *= keep;
        out[c][2 * half + 1] *= keep;
      }
    }
#pragma unroll
    for (int j = 0; j < kKeys / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        scores[j][e] = power_of_two(scores[j][e] - base[e / 2]);
        total[e / 2] += scores[j][e];
      }
    }
  }

  __device__ void add_values(const Bits* v) {
#pragma unroll
    for (int j = 0; j < kKeys; j += 16) {
      const float(&s0)[4] = scores[j / 8];
      const float(&s1)[4] = scores[j / 8 + 1];
      const std::uint32_t left[4] = {packed(s0[0], s0[1]), packed(s0[2], s0[3]),
                                     packed(s1[0], s1[1]), packed(s1[2], s1[3])};
#pragma unroll
      for (int c = 0; c < kV; c += 16) {
        std::uint32_t right[4];
        load_transposed(right, v + (j + lane % 16) * (kV + kPad) + c + lane / 16 * 8);
        multiply_add(out[c / 8], left, right[0], right[1]);
        multiply_add(out[c / 8 + 1], left, right[2], right[3]);
      }
    }
  }

  // first: the warp's first query.
  __device__ void store(const Attention& a, std::int64_t head, std::int64_t first) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      total[half] += __shfl_xor_sync(kAllLanes, total[half], 1);
      total[half] += __shfl_xor_sync(kAllLanes, total[half], 2);
      const std::int64_t row = first + lane / 4 + half * 8;
      if (row >= a.queries) continue;
      float* to = a.out[row] + head * a.v_dim;
#pragma unroll
      for (int c = 0; c < kV / 8; ++c)
        for (int e = 0; e < 2; ++e) {
          const int column = c * 8 + lane % 4 * 2 + e;
          if (column < a.v_dim) to[column] = out[c][2 * half + e] / total[half];
        }
    }
  }
};

template <int kQk, int kV>
__global__ void __launch_bounds__(kThreads, kQk + kV <= 128 ? 2 : 1)
    attention_kernel(Attention a, Rounded rounded) {
  extern __shared__ __align__(16) Bits tiles[];
  Bits* q = tiles;
  const std::int64_t head = blockIdx.x;
  const std::int64_t kv_head = head / a.group;
  const KeyTiles<kQk, kV> steps{q + kQueries * (kQk + kPad), rounded.k + kv_head * a.keys * kQk,
                                rounded.v + kv_head * a.keys * kV, static_cast<int>(a.keys)};
  // Long rows first.
  const std::int64_t first_query =
      static_cast<std::int64_t>(gridDim.y - 1 - blockIdx.y) * kQueries;
  const auto position = static_cast<int>(a.keys - a.queries + first_query);  // of the first query
  const Visible visible(a, head);
  const int begin = visible.window > 0 && position + 1 > visible.window
                        ? (position + 1 - visible.window) / kKeys * kKeys
                        : 0;
  const int end = min(position + kQueries, steps.count);
  steps.fetch(0, begin);
  load_tile<kQueries, kQk>(q, [&](int i, int c) {
    if (first_query + i >= a.queries) return make_float4(0, 0, 0, 0);
    return quad(a.q[first_query + i] + a.q_col + head * a.q_step, c, a.q_dim);
  });
  const int first = static_cast<int>(threadIdx.x / kWarp) * 16;
  Warp<kQk, kV> warp;
  warp.lane = static_cast<int>(threadIdx.x % kWarp);
  int slot = 0;
  for (int j0 = begin; j0 < end; j0 += kKeys, slot ^= 1) {
    if (j0 + kKeys < end) {
      steps.fetch(slot ^ 1, j0 + kKeys);
      asm volatile("cp.async.wait_group 1;");
    } else {
      asm volatile("cp.async.wait_group 0;");
    }
    __syncthreads();
    // Rows whose last query stands before these keys have nothing to do.
    if (j0 <= position + first + 15) {
      warp.score(q + first * (kQk + kPad), steps.k(slot));
      warp.weigh(visible, position + first + warp.lane / 4, j0);
      warp.add_values(steps.v(slot));
    }
    __syncthreads();
  }
  warp.store(a, head, first_query + first);
}

// [heads, rows, width] of BF16; source(head, row, column) gives four values.
template <typename Source>
void round_heads(const Context& context, std::int64_t heads, std::int64_t rows, int width,
                 Bits* out, Source source) {
  each(context, heads * rows, width / 4, "rounding keys and values",
       [=] __device__(std::int64_t at, std::int64_t four) {
         const float4 v = source(at / rows, at % rows, four * 4);
         *reinterpret_cast<uint2*>(out + at * width + four * 4) =
             make_uint2(packed(v.x, v.y), packed(v.z, v.w));
       });
}

template <int kQk, int kV>
void launch(const Context& context, const Attention& a, std::int64_t heads) {
  const std::int64_t kv_heads = heads / a.group;
  const Temporary<Bits> k(context, kv_heads * a.keys * kQk);
  const Temporary<Bits> v(context, kv_heads * a.keys * kV);
  round_heads(context, kv_heads, a.keys, kQk, k.data(),
              [a] __device__(std::int64_t head, std::int64_t j, std::int64_t c) {
                const float* own = a.k[j] + a.k_col + head * a.k_step;
                if (a.shared.data == nullptr || c + 4 <= a.k_dim) return quad(own, c, a.k_dim);
                const float* shared = a.shared[j] + a.shared_col;
                if (c >= a.k_dim) return quad(shared, c - a.k_dim, a.q_dim - a.k_dim);
                float both[4];
                for (int e = 0; e < 4; ++e)
                  both[e] = c + e < a.k_dim   ? own[c + e]
                            : c + e < a.q_dim ? shared[c + e - a.k_dim]
                                              : 0.0F;
                return make_float4(both[0], both[1], both[2], both[3]);
              });
  round_heads(context, kv_heads, a.keys, kV, v.data(),
              [a] __device__(std::int64_t head, std::int64_t j, std::int64_t c) {
                return quad(a.v[j] + a.v_col + head * a.v_step, c, a.v_dim);
              });
  constexpr int kBytes = static_cast<int>(sizeof(Bits)) *
                         (kQueries * (kQk + kPad) + 2 * KeyTiles<kQk, kV>::kElements);
  check(cudaFuncSetAttribute(attention_kernel<kQk, kV>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             kBytes),
        "attention's shared memory");
  const dim3 grid(static_cast<unsigned>(heads),
                  static_cast<unsigned>(base::ceil_div<std::int64_t>(a.queries, kQueries)));
  attention_kernel<kQk, kV>
      <<<grid, kThreads, kBytes, context.stream()>>>(a, Rounded{k.data(), v.data()});
  context.launched("attention");
}

}  // namespace

bool attend_bf16(const Context& context, const Attention& a, std::int64_t heads) {
  if (a.q_dim <= 64 && a.v_dim <= 64) {
    launch<64, 64>(context, a, heads);
  } else if (a.q_dim <= 128 && a.v_dim <= 128) {
    launch<128, 128>(context, a, heads);
  } else if (a.q_dim <= 192 && a.v_dim <= 128) {
    launch<192, 128>(context, a, heads);
  } else {
    return false;
  }
  return true;
}

}  // namespace whit::compute::cuda
