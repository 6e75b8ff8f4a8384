#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "compute/cuda/context.h"
#include "numeric/float_codec.h"
#include "tensor/tensor.h"

// The float types of stored elements, as a kernel reads them.
namespace whit::compute::cuda {

struct E4M3 {
  std::uint8_t bits;
};
struct E5M2 {
  std::uint8_t bits;
};
struct BF16 {
  std::uint16_t bits;
};
struct F16 {
  std::uint16_t bits;
};

template <typename T>
struct Element;
template <>
struct Element<float> {
  __device__ static float decode(float x) { return x; }
  __device__ static float encode(float x) { return x; }
};
template <>
struct Element<BF16> {
  __device__ static float decode(BF16 x) {
    return __uint_as_float(static_cast<std::uint32_t>(x.bits) << 16);
  }
  __device__ static BF16 encode(float x) {
    return {__bfloat16_as_ushort(__float2bfloat16_rn(x))};
  }
};
template <>
struct Element<F16> {
  __device__ static float decode(F16 x) { return __half2float(__ushort_as_half(x.bits)); }
};
template <>
struct Element<E4M3> {
  __device__ static float decode(E4M3 x) { return numeric::e4m3_to_f32(x.bits); }
  __device__ static std::uint8_t encode(float x) { return numeric::f32_to_e4m3(x); }
};
template <>
struct Element<E5M2> {
  __device__ static float decode(E5M2 x) { return numeric::e5m2_to_f32(x.bits); }
  __device__ static std::uint8_t encode(float x) { return numeric::f32_to_e5m2(x); }
};

// Four neighbours of a row at once.
__device__ inline float4 load_four(const float* p) {
  return *reinterpret_cast<const float4*>(p);
}
__device__ inline float4 load_four(const BF16* p) {
  const uint2 both = *reinterpret_cast<const uint2*>(p);
  return make_float4(__uint_as_float(both.x << 16), __uint_as_float(both.x & 0xffff0000U),
                     __uint_as_float(both.y << 16), __uint_as_float(both.y & 0xffff0000U));
}
__device__ inline void store_four(float* p, float4 v) {
  *reinterpret_cast<float4*>(p) = v;
}
__device__ inline void store_four(BF16* p, float4 v) {
  const __nv_bfloat162 low = __floats2bfloat162_rn(v.x, v.y);
  const __nv_bfloat162 high = __floats2bfloat162_rn(v.z, v.w);
  *reinterpret_cast<uint2*>(p) = make_uint2(*reinterpret_cast<const std::uint32_t*>(&low),
                                            *reinterpret_cast<const std::uint32_t*>(&high));
}

// Whether every row of all matrices may be read and written in fours.
template <typename... Matrices>
bool in_fours(const Matrices&... m) {
  const auto fits = [](const auto& one) {
    const auto bytes = static_cast<std::uintptr_t>(numeric::bits_of(one.dtype) / 2);
    return one.cols % 4 == 0 && one.stride % 4 == 0 &&
           reinterpret_cast<std::uintptr_t>(one.data) % bytes == 0;
  };
  return (fits(m) && ...);
}

// Calls body<T>() with the type of `dtype`.
template <typename Body>
void with_float_type(tensor::Dtype dtype, const char* what, Body body) {
  switch (dtype) {
    case tensor::Dtype::kF32:
      return body.template operator()<float>();
    case tensor::Dtype::kBF16:
      return body.template operator()<BF16>();
    case tensor::Dtype::kF16:
      return body.template operator()<F16>();
    case tensor::Dtype::kF8E4M3:
      return body.template operator()<E4M3>();
    case tensor::Dtype::kF8E5M2:
      return body.template operator()<E5M2>();
    default:
      break;
  }
  fail_dtype(what, dtype, "a float type");
}

template <typename Body>
void with_float8_type(tensor::Dtype dtype, const char* what, Body body) {
  if (dtype == tensor::Dtype::kF8E4M3) return body.template operator()<E4M3>();
  if (dtype == tensor::Dtype::kF8E5M2) return body.template operator()<E5M2>();
  fail_dtype(what, dtype, "F8_E4M3 or F8_E5M2");
}

}  // namespace whit::compute::cuda
