#include "compute/cuda/product.h"

#include <cuda_bf16.h>

#include <optional>

#include "compute/cuda/kernel.cuh"

namespace whit::compute::cuda {

namespace {

// Below so many multiply-adds an fp32 product is not worth splitting.
constexpr std::int64_t kWorthSplitting = std::int64_t{1} << 28;

struct Shape3 {
  std::int64_t m, n, k;
  std::int64_t work() const { return m * n * k; }
};

cublasOperation_t operation(Transpose t) {
  return t == Transpose::kYes ? CUBLAS_OP_T : CUBLAS_OP_N;
}

// Row-major C = A B is column-major Cᵀ = Bᵀ Aᵀ.
void call(const Context& context, const Shape3& size, float alpha, const void* a, std::int64_t lda,
          Transpose ta, const void* b, std::int64_t ldb, Transpose tb, cudaDataType type, float beta,
          MatrixView c) {
  check(cublasGemmEx(context.blas(), operation(tb), operation(ta), static_cast<int>(size.n),
                     static_cast<int>(size.m), static_cast<int>(size.k), &alpha, b, type,
                     static_cast<int>(ldb), a, type, static_cast<int>(lda), &beta, c.data,
                     CUDA_R_32F, static_cast<int>(c.stride), CUBLAS_COMPUTE_32F,
                     CUBLAS_GEMM_DEFAULT),
        "matrix product");
}

// One factor as BF16 halves.
class Halves {
 public:
  Halves(const Context& context, ConstMatrixView x, bool with_low, int* any_low)
      : stride_(base::round_up<std::int64_t>(x.cols, 8)), high_(context, x.rows * stride_) {
    if (with_low) low_.emplace(context, x.rows * stride_);
    split_bf16(context, x, nullptr, high_.data(), with_low ? low_->data() : nullptr, stride_,
               any_low);
  }
  const std::uint16_t* high() const { return high_.data(); }
  const std::uint16_t* low() const { return low_->data(); }
  std::int64_t stride() const { return stride_; }

 private:
  std::int64_t stride_;
  Temporary<std::uint16_t> high_;
  std::optional<Temporary<std::uint16_t>> low_;
};

}  // namespace

void split_bf16(const Context& context, ConstMatrixView x, const float* factors,
                std::uint16_t* high, std::uint16_t* low, std::int64_t stride, int* any_low) {
  const auto from = rows_of<float>(x);
  const std::int64_t cols = x.cols;
  each(context, x.rows, base::ceil_div<std::int64_t>(stride, 4), "splitting into BF16",
       [=] __device__(std::int64_t i, std::int64_t quad) {
         const float* row = from[i];
         const float factor = factors == nullptr ? 1.0F : factors[i];
         std::uint16_t h[4];
         std::uint16_t l[4];
         bool some = false;
         for (int e = 0; e < 4; ++e) {
           const std::int64_t j = quad * 4 + e;
           const float value = j < cols ? row[j] * factor : 0.0F;
           const __nv_bfloat16 upper = __float2bfloat16_rn(value);
           const float rest = value - __bfloat162float(upper);
           h[e] = __bfloat16_as_ushort(upper);
           l[e] = __bfloat16_as_ushort(__float2bfloat16_rn(rest));
           some = some || rest != 0.0F;
         }
         const std::int64_t at = i * stride + quad * 4;
         *reinterpret_cast<ushort4*>(high + at) = make_ushort4(h[0], h[1], h[2], h[3]);
         if (low == nullptr) return;
         *reinterpret_cast<ushort4*>(low + at) = make_ushort4(l[0], l[1], l[2], l[3]);
         if (some) *any_low = 1;
       });
}

void multiply(const Context& context, Product product, float alpha, ConstMatrixView a,
              Transpose ta, ConstMatrixView b, Transpose tb, float beta, MatrixView c) {
  const Shape3 size{c.rows, c.cols, ta == Transpose::kYes ? a.rows : a.cols};
  if (size.m == 0 || size.n == 0) return;
  if (size.k == 0) {
    const auto to = rows_of<float>(c);
    each(context, c.rows, c.cols, "scaling", [=] __device__(std::int64_t i, std::int64_t j) {
      to[i][j] = beta == 0.0F ? 0.0F : beta * to[i][j];
    });
    return;
  }
  const bool split = product == Product::kExact && size.work() >= kWorthSplitting;
  if (product == Product::kExact && !split)
    return call(context, size, alpha, a.data, a.stride, ta, b.data, b.stride, tb, CUDA_R_32F, beta,
                c);
  const Temporary<int> flags(context, 2);
  flags.clear();
  const Halves left(context, a, split, flags.data());
  const Halves right(context, b, split, flags.data() + 1);
  const auto times = [&](const std::uint16_t* x, const std::uint16_t* y, float keep) {
    call(context, size, alpha, x, left.stride(), ta, y, right.stride(), tb, CUDA_R_16BF, keep, c);
  };
  if (split) {
    // Factors that are BF16 already have no lower half.
    const std::vector<int> any = flags.read();
    if (any[0] != 0) {
      times(left.low(), right.high(), beta);
      beta = 1.0F;
    }
    if (any[1] != 0) {
      times(left.high(), right.low(), beta);
      beta = 1.0F;
    }
  }
  times(left.high(), right.high(), beta);
}

}  // namespace whit::compute::cuda
