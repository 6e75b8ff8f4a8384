#include "compute/cuda/limits.h"

#include "compute/cuda/kernel.cuh"

namespace whit::compute::cuda {

namespace {

constexpr std::int64_t kSize = 8192;
constexpr std::int64_t kCopied = std::int64_t{1} << 30;

class Event {
 public:
  Event() { check(cudaEventCreate(&event_), "cudaEventCreate"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(const Context& context) const {
    check(cudaEventRecord(event_, context.stream()), "cudaEventRecord");
  }
  double seconds_since(const Event& before) const {
    float milliseconds = 0;
    check(cudaEventSynchronize(event_), "cudaEventSynchronize");
    check(cudaEventElapsedTime(&milliseconds, before.event_, event_), "cudaEventElapsedTime");
    return 1e-3 * static_cast<double>(milliseconds);
  }

 private:
  cudaEvent_t event_ = nullptr;
};

// The best of a few runs, after one that warms up.
template <typename Work>
double least(const Context& context, Work work) {
  double best = INFINITY;
  for (int i = 0; i < 6; ++i) {
    const Event begin;
    const Event end;
    begin.record(context);
    work();
    end.record(context);
    const double seconds = end.seconds_since(begin);
    if (i > 0) best = std::min(best, seconds);
  }
  return best;
}

}  // namespace

Limits measure_limits(const Context& context) {
  const bool bf16 = context.precision() == Precision::kBF16;
  const std::int64_t bytes = bf16 ? 2 : 4;
  const Temporary<std::uint8_t> x(context, kSize * kSize * bytes);
  const Temporary<float> y(context, kSize * kSize);
  // Random bits make random numbers of either type, their exponents kept small.
  std::uint8_t* bits = x.data();
  each(context, kSize, kSize * bytes, "filling", [=] __device__(std::int64_t i, std::int64_t j) {
    std::uint32_t h = static_cast<std::uint32_t>(i * kSize * bytes + j) * 2654435761U;
    h ^= h >> 15;
    h *= 2246822519U;
    bits[i * kSize * bytes + j] =
        static_cast<std::uint8_t>(j % bytes == bytes - 1 ? 0x3e + (h >> 31 << 7) : h >> 24);
  });
  const float one = 1.0F;
  const float zero = 0.0F;
  const cudaDataType type = bf16 ? CUDA_R_16BF : CUDA_R_32F;
  const auto size = static_cast<int>(kSize);
  const double multiplying = least(context, [&] {
    check(cublasGemmEx(context.blas(), CUBLAS_OP_T, CUBLAS_OP_N, size, size, size, &one, x.data(),
                       type, size, x.data(), type, size, &zero, y.data(), CUDA_R_32F, size,
                       CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
          "matrix product");
  });
  const Temporary<std::uint8_t> from(context, kCopied);
  const Temporary<std::uint8_t> to(context, kCopied);
  const double copying = least(context, [&] {
    check(cudaMemcpyAsync(to.data(), from.data(), static_cast<std::size_t>(kCopied),
                          cudaMemcpyDeviceToDevice, context.stream()),
          "copy");
  });
  const auto n = static_cast<double>(kSize);
  return {2 * n * n * n / multiplying, 2 * static_cast<double>(kCopied) / copying};
}

}  // namespace whit::compute::cuda
