#pragma once

#include <cstdint>
#include <optional>

#include "compute/backend.h"
#include "quant/fp8_scale.h"
#include "scheme/fp8_scaling.h"
#include "scheme/scheme.h"

// Weights as FP8 codes with scales by tensor, channel or block (docs/methods/fp8.md).
namespace whit::quant {

struct Fp8WeightArgs {
  scheme::Strategy strategy = scheme::Strategy::kChannel;  // or kTensor, kBlock
  std::int64_t block_rows = 128, block_cols = 128;         // of kBlock
  scheme::Fp8Target target{scheme::Fp8Format::kE4M3, scheme::Fp8Device::kGeneric};
  // Its granularity is the strategy's; kLeastError not of blocks.
  scheme::TensorScaling scaling = {};
  tensor::Dtype scale_dtype = tensor::Dtype::kF32;  // or BF16: scales are rounded before use
};

// The type of a target's codes, and their largest number.
tensor::Dtype code_dtype(const scheme::Fp8Target& target);
float code_limit(const scheme::Fp8Target& target);

// w: F32 [N,K] on the device, finite. `amax`: of kTensor, a maximum shared with other weights,
// not below this one's. Scales of plain maxima are amax / limit in fp32, which is what
// compressed-tensors computes of fp32 weights; codes are fp8(clamp(w / scale)). A block of zeros
// gets scheme::kZeroFloat8Scale. Codes and scales are on the host.
// Errors: kInput where a weight is not finite; kUnsupported where the target lacks the scales.
scheme::ScaledFloat8 fp8(compute::Backend& backend, tensor::ConstMatrixView w,
                         const Fp8WeightArgs& args, std::optional<float> amax = std::nullopt);

// The scale of a hidden state whose largest magnitude is `amax` > 0, as `scaling` has it.
float fp8_activation_scale(float amax, const scheme::TensorScaling& scaling,
                           const scheme::Fp8Target& target,
                           tensor::Dtype scale_dtype = tensor::Dtype::kF32);

// Codes up to 448 as codes up to 240: values halved, scales doubled. Exact but for the odd codes up
// to 0x0F, whose halves lie between two subnormal numbers and go to the even one.
// Source: vllm-gaudi, deepseek_gaudi2_converter. Errors: kBug unless codes are E4M3.
scheme::ScaledFloat8 halved_for_gaudi2(const scheme::ScaledFloat8& weight);

}  // namespace whit::quant
