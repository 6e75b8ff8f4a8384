#include <cuda_bf16.h>

#include "compute/cuda/attention_args.cuh"
#include "compute/cuda/kernel.cuh"

// Attention with BF16 products on tensor cores (mma.sync m16n8k16, sums in fp32): a block of eight
// warps takes 128 queries of one head, sixteen a warp, against 64 keys at a time; scores and sums
// stay in registers (FlashAttention-2, arXiv:2307.08691).
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

// Which keys a query may see, and how its scores are made.
struct Visible {
  const Attention& a;
  std::int64_t head;
  __device__ float score(float dot, std::int64_t position, std::int64_t key) const {
    if (key > position || (a.window > 0 && key + a.window <= position)) return -INFINITY;
    float s = dot * a.scale;
    if (a.softcap > 0) s = a.softcap * tanhf(s / a.softcap);
    if (a.key_bias.data != nullptr) s += a.key_bias[head][key];
    return s;
  }
};

// Keys and values [j0, j0 + kKeys) of one head; zeros behind the last.
template <int kQk, int kV>
__device__ void load_keys(const Attention& a, std::int64_t kv_head, std::int64_t j0, Bits* k,
                          Bits* v) {
  load_tile<kKeys, kQk>(k, [&](int j, int c) {
    if (j0 + j >= a.keys) return make_float4(0, 0, 0, 0);
    const float* own = a.k[j0 + j] + a.k_col + kv_head * a.k_step;
    if (a.shared.data == nullptr || c + 4 <= a.k_dim) return quad(own, c, a.k_dim);
    const float* shared = a.shared[j0 + j] + a.shared_col;
    if (c >= a.k_dim) return quad(shared, c - a.k_dim, a.q_dim - a.k_dim);
    float both[4];
    for (int e = 0; e < 4; ++e)
      both[e] = c + e < a.k_dim ? own[c + e] : c + e < a.q_dim ? shared[c + e - a.k_dim] : 0.0F;
    return make_float4(both[0], both[1], both[2], both[3]);
  });
  load_tile<kKeys, kV>(v, [&](int j, int c) {
    if (j0 + j >= a.keys) return make_float4(0, 0, 0, 0);
    return quad(a.v[j0 + j] + a.v_col + kv_head * a.v_step, c, a.v_dim);
  });
}

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

  // Scores of keys from j0 on become weights; what was summed before shrinks to the new largest.
  __device__ void weigh(const Visible& visible, std::int64_t position, std::int64_t j0) {
    float now[2] = {largest[0], largest[1]};
#pragma unroll
    for (int j = 0; j < kKeys / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        float& s = scores[j][e];
        s = visible.score(s, position + e / 2 * 8, j0 + j * 8 + lane % 4 * 2 + e % 2);
        now[e / 2] = fmaxf(now[e / 2], s);
      }
    }
    float base[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      now[half] = fmaxf(now[half], __shfl_xor_sync(kAllLanes, now[half], 1));
      now[half] = fmaxf(now[half], __shfl_xor_sync(kAllLanes, now[half], 2));
      base[half] = now[half] == -INFINITY ? 0.0F : now[half];  // no key seen yet
      const float keep = __expf(largest[half] - base[half]);
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
        scores[j][e] = __expf(scores[j][e] - base[e / 2]);
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
__global__ void __launch_bounds__(kThreads, kQk + kV <= 320 ? 2 : 1) attention_kernel(Attention a) {
  extern __shared__ Bits tiles[];
  Bits* q = tiles;
  Bits* k = q + kQueries * (kQk + kPad);
  Bits* v = k + kKeys * (kQk + kPad);
  const std::int64_t head = blockIdx.x;
  // Long rows first.
  const std::int64_t first_query =
      static_cast<std::int64_t>(gridDim.y - 1 - blockIdx.y) * kQueries;
  const std::int64_t position = a.keys - a.queries + first_query;  // of the block's first query
  load_tile<kQueries, kQk>(q, [&](int i, int c) {
    if (first_query + i >= a.queries) return make_float4(0, 0, 0, 0);
    return quad(a.q[first_query + i] + a.q_col + head * a.q_step, c, a.q_dim);
  });
  const int first = static_cast<int>(threadIdx.x / kWarp) * 16;
  Warp<kQk, kV> warp;
  warp.lane = static_cast<int>(threadIdx.x % kWarp);
  const Visible visible{a, head};
  const std::int64_t begin =
      a.window > 0 && position + 1 > a.window ? (position + 1 - a.window) / kKeys * kKeys : 0;
  const std::int64_t end = min(position + kQueries, a.keys);
  for (std::int64_t j0 = begin; j0 < end; j0 += kKeys) {
    __syncthreads();
    load_keys<kQk, kV>(a, head / a.group, j0, k, v);
    __syncthreads();
    warp.score(q + first * (kQk + kPad), k);
    warp.weigh(visible, position + first + warp.lane / 4, j0);
    warp.add_values(v);
  }
  warp.store(a, head, first_query + first);
}

template <int kQk, int kV>
void launch(const Context& context, const Attention& a, std::int64_t heads) {
  constexpr int kBytes =
      static_cast<int>(sizeof(Bits)) *
      ((kQueries + kKeys) * (kQk + kPad) + kKeys * (kV + kPad));
  check(cudaFuncSetAttribute(attention_kernel<kQk, kV>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             kBytes),
        "attention's shared memory");
  const dim3 grid(static_cast<unsigned>(heads),
                  static_cast<unsigned>(base::ceil_div<std::int64_t>(a.queries, kQueries)));
  attention_kernel<kQk, kV><<<grid, kThreads, kBytes, context.stream()>>>(a);
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
