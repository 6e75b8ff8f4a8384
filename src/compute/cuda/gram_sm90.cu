#include <cuda.h>

#include "compute/cuda/gram_sm90.h"
#include "compute/cuda/kernel.cuh"

// G += xᵀx for Hopper: a block computes one tile of the lower triangle. One warp fetches tiles of x
// by bulk tensor copies into a ring of stages; two warpgroups multiply them (wgmma) and add their
// accumulators to fp32 registers every kPromoted rows. The tile goes out twice, the second time
// transposed, so that the whole matrix stays valid.
namespace whit::compute::cuda {

namespace {

constexpr int kTile = 128;       // rows and columns of G a block
constexpr int kDepth = 64;       // rows of x a stage
constexpr int kStages = 4;
constexpr int kChunk = 64;       // columns of x in 128 bytes, what a copy's swizzle spans
constexpr int kPromoted = 1024;  // rows of x that an accumulator sums
constexpr int kGroups = 2;       // multiplying warpgroups, 64 rows of the tile each
constexpr unsigned kThreads = 128 * (kGroups + 1);
constexpr int kChunkBytes = kDepth * kChunk * 2;
constexpr int kSideBytes = kTile / kChunk * kChunkBytes;
constexpr int kStageBytes = 2 * kSideBytes;
constexpr int kTurnedPitch = kTile + 1;
constexpr int kRingBytes = kStages * kStageBytes;
constexpr int kSharedBytes = kRingBytes + 1024 + 2 * kStages * 8;
static_assert(kTile * kTurnedPitch * 4 <= kRingBytes, "the turned tile takes the ring's place");

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define WHIT_HOPPER 1
#endif

__device__ std::uint32_t address_of(const void* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}

__device__ void barrier_init(std::uint32_t barrier, std::uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals));
}

__device__ void barrier_expect(std::uint32_t barrier, std::uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}

__device__ void barrier_arrive(std::uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

__device__ void barrier_wait(std::uint32_t barrier, std::uint32_t parity) {
  asm volatile(
      "{\n.reg .pred done;\nagain:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra over;\nbra again;\nover:\n}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

#ifdef WHIT_HOPPER
__device__ void fetch(std::uint32_t to, const CUtensorMap* map, std::uint32_t barrier, int column,
                      int row) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, "
      "%4}], [%2];" ::"r"(to),
      "l"(map), "r"(barrier), "r"(column), "r"(row)
      : "memory");
}

// A matrix whose rows are the depth: chunks of 64 columns, 128-byte swizzle. Leading: bytes between
// chunks; stride: bytes between groups of eight rows.
__device__ std::uint64_t descriptor(std::uint32_t address) {
  const std::uint64_t leading = kChunkBytes >> 4;
  const std::uint64_t stride = 1024 >> 4;
  return static_cast<std::uint64_t>((address & 0x3ffffU) >> 4) | leading << 16 | stride << 32 |
         std::uint64_t{1} << 62;
}

// d[64,128] (+)= aᵀ b, a [16,64] and b [16,128] in shared memory, depth outermost in both.
__device__ void multiply(float (&d)[64], std::uint64_t a, std::uint64_t b, int keep) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
      "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,"
      "%25,%26,%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"
      "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}, %64, %65, p, 1, 1, 1, "
      "1;\n}"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]),
        "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]),
        "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]),
        "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]),
        "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]),
        "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]),
        "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]),
        "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]),
        "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]),
        "+f"(d[63])
      : "l"(a), "l"(b), "r"(keep));
}

__device__ void fence_accumulators(float (&d)[64]) {
#pragma unroll
  for (int i = 0; i < 64; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

// Fetches the stages of one tile, in order.
__device__ void produce(const CUtensorMap* x, std::uint32_t ring, std::uint32_t full,
                        std::uint32_t empty, int row0, int column0, int stages) {
  for (int s = 0; s < stages; ++s) {
    const int slot = s % kStages;
    if (s >= kStages)
      barrier_wait(empty + 8U * static_cast<unsigned>(slot), (s / kStages - 1) & 1);
    const std::uint32_t barrier = full + 8U * static_cast<unsigned>(slot);
    const std::uint32_t to = ring + static_cast<unsigned>(slot * kStageBytes);
    barrier_expect(barrier, kStageBytes);
    for (int c = 0; c < kTile / kChunk; ++c) {
      fetch(to + static_cast<unsigned>(c * kChunkBytes), x, barrier, row0 + c * kChunk, s * kDepth);
      fetch(to + static_cast<unsigned>(kSideBytes + c * kChunkBytes), x, barrier,
            column0 + c * kChunk, s * kDepth);
    }
  }
}

// sum[64,128] of this warpgroup.
__device__ void consume(float (&sum)[64], std::uint32_t ring, std::uint32_t full,
                        std::uint32_t empty, int group, int stages) {
  float d[64];
#pragma unroll
  for (int i = 0; i < 64; ++i) sum[i] = 0;
  constexpr int kStagesPromoted = kPromoted / kDepth;
  for (int first = 0; first < stages; first += kStagesPromoted) {
    const int last = min(first + kStagesPromoted, stages);
    for (int s = first; s < last; ++s) {
      const int slot = s % kStages;
      barrier_wait(full + 8U * static_cast<unsigned>(slot), (s / kStages) & 1);
      const std::uint32_t base = ring + static_cast<unsigned>(slot * kStageBytes);
      fence_accumulators(d);
      asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll
      for (int k = 0; k < kDepth / 16; ++k)
        multiply(d, descriptor(base + static_cast<unsigned>(group * kChunkBytes + k * 2048)),
                 descriptor(base + static_cast<unsigned>(kSideBytes + k * 2048)),
                 s > first || k > 0 ? 1 : 0);
      asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
      // The stage before is done with when this one is under way.
      asm volatile("wgmma.wait_group.sync.aligned 1;" ::: "memory");
      fence_accumulators(d);
      if (s > first && threadIdx.x % 128 == 0)
        barrier_arrive(empty + 8U * static_cast<unsigned>((s - 1) % kStages));
    }
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
    fence_accumulators(d);
    if (threadIdx.x % 128 == 0)
      barrier_arrive(empty + 8U * static_cast<unsigned>((last - 1) % kStages));
#pragma unroll
    for (int i = 0; i < 64; ++i) sum[i] += d[i];
  }
}

// Adds this warpgroup's rows to G and leaves the new values in `turned`.
__device__ void add_rows(const float (&sum)[64], Rows<float> g, int size, int row0, int column0,
                         int group, float* turned) {
  const int thread = static_cast<int>(threadIdx.x % 128);
  const int first = group * 64 + thread / 32 * 16 + thread % 32 / 4;
#pragma unroll
  for (int i = 0; i < 64; ++i) {
    const int r = first + i % 4 / 2 * 8;
    const int c = i / 4 * 8 + thread % 4 * 2 + i % 2;
    float value = 0;
    if (row0 + r < size && column0 + c < size) {
      float& at = g[row0 + r][column0 + c];
      value = at + sum[i];
      at = value;
    }
    turned[c * kTurnedPitch + r] = value;
  }
}
#endif

__global__ void __launch_bounds__(kThreads, 1)
    gram_kernel(const __grid_constant__ CUtensorMap x, Rows<float> g, int size, int rows) {
#ifdef WHIT_HOPPER
  extern __shared__ std::uint8_t raw[];
  std::uint8_t* ring_bytes = reinterpret_cast<std::uint8_t*>(
      (reinterpret_cast<std::uintptr_t>(raw) + 1023) / 1024 * 1024);
  const std::uint32_t ring = address_of(ring_bytes);
  const std::uint32_t full = ring + kRingBytes;
  const std::uint32_t empty = full + 8 * kStages;
  // Tile (i, j), j <= i, by number.
  int i = static_cast<int>((sqrtf(8.0F * static_cast<float>(blockIdx.x) + 1.0F) - 1.0F) / 2.0F);
  while ((i + 1) * (i + 2) / 2 <= static_cast<int>(blockIdx.x)) ++i;
  while (i * (i + 1) / 2 > static_cast<int>(blockIdx.x)) --i;
  const int j = static_cast<int>(blockIdx.x) - i * (i + 1) / 2;
  const int row0 = i * kTile;
  const int column0 = j * kTile;
  if (threadIdx.x == 0) {
    for (unsigned s = 0; s < kStages; ++s) {
      barrier_init(full + 8 * s, 1);
      barrier_init(empty + 8 * s, kGroups);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();
  const int stages = (rows + kDepth - 1) / kDepth;
  const int group = static_cast<int>(threadIdx.x / 128);
  float* turned = reinterpret_cast<float*>(ring_bytes);
  if (group == kGroups) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
    if (threadIdx.x == 128 * kGroups)
      produce(&x, ring, full, empty, row0, column0, stages);
    __syncthreads();
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
    float sum[64];
    consume(sum, ring, full, empty, group, stages);
    __syncthreads();
    add_rows(sum, g, size, row0, column0, group, turned);
  }
  __syncthreads();
  if (i == j) {
    // Both triangles of a diagonal tile come from its own sums, which are symmetric but for their
    // last bits: the lower one counts.
    for (int at = static_cast<int>(threadIdx.x); at < kTile * kTile; at += kThreads) {
      const int r = at / kTile;
      const int c = at % kTile;
      if (c > r && row0 + c < size && row0 + r < size)
        g[row0 + r][row0 + c] = turned[r * kTurnedPitch + c];
    }
    return;
  }
  for (int at = static_cast<int>(threadIdx.x); at < kTile * kTile; at += kThreads) {
    const int r = at / kTile;
    const int c = at % kTile;
    if (column0 + r < size && row0 + c < size) g[column0 + r][row0 + c] = turned[r * kTurnedPitch + c];
  }
#endif
}

using Encode = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*,
                            const cuuint64_t*, const cuuint32_t*, const cuuint32_t*,
                            CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion,
                            CUtensorMapFloatOOBfill);

Encode encoder() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult result{};
  check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                         cudaEnableDefault, &result),
        "asking the driver for tensor maps");
  require(function != nullptr && result == cudaDriverEntryPointSuccess,
          "a driver that knows tensor maps");
  return reinterpret_cast<Encode>(function);
}

// x [rows, stride] BF16 of which `cols` columns count; zeros outside.
CUtensorMap map_of(const std::uint16_t* x, std::int64_t rows, std::int64_t cols,
                   std::int64_t stride) {
  static const Encode encode = encoder();
  const cuuint64_t extents[2] = {static_cast<cuuint64_t>(cols), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[1] = {static_cast<cuuint64_t>(stride) * 2};
  const cuuint32_t box[2] = {kChunk, kDepth};
  const cuuint32_t steps[2] = {1, 1};
  CUtensorMap map;
  const CUresult code = encode(
      &map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, const_cast<std::uint16_t*>(x), extents, strides,
      box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
      CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  require(code == CUDA_SUCCESS, "a tensor map of a Gram's input");
  return map;
}

}  // namespace

void add_gram_sm90(const Context& context, const std::uint16_t* x, std::int64_t rows,
                   std::int64_t stride, MatrixView g) {
  const CUtensorMap map = map_of(x, rows, g.rows, stride);
  check(cudaFuncSetAttribute(gram_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             kSharedBytes),
        "a Gram's shared memory");
  const std::int64_t tiles = base::ceil_div<std::int64_t>(g.rows, kTile);
  gram_kernel<<<static_cast<unsigned>(tiles * (tiles + 1) / 2), kThreads, kSharedBytes,
                context.stream()>>>(map, rows_of<float>(g), static_cast<int>(g.rows),
                                    static_cast<int>(rows));
  context.launched("Gram");
}

}  // namespace whit::compute::cuda
