#pragma once

#include "compute/cuda/context.h"

namespace whit::compute::cuda {

// How a product of F32 matrices is computed.
enum class Product : std::uint8_t {
  kExact,  // fp32 throughout; large ones as three products of BF16 halves (2^-16 relative a
           // product)
  kBF16,   // of the factors rounded to BF16, sums in fp32
};

// C = alpha * op(A) op(B) + beta * C, all F32.
void multiply(const Context& context, Product product, float alpha, ConstMatrixView a, Transpose ta,
              ConstMatrixView b, Transpose tb, float beta, MatrixView c);

// x as the sum of two BF16 matrices [rows, stride]; rows are scaled by `factors` where it is not
// null. low may be null. Returns nothing; *any_low becomes 1 where some low part is not 0.
void split_bf16(const Context& context, ConstMatrixView x, const float* factors,
                std::uint16_t* high, std::uint16_t* low, std::int64_t stride, int* any_low);

}  // namespace whit::compute::cuda
