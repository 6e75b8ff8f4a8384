#include "compute/backend.h"

#include <fmt/format.h>

#include <memory>

#include "compute/cuda/context.h"
#include "compute/cuda/limits.h"
#include "compute/cuda/parts.h"

namespace whit::compute {

namespace {

class CudaBackend final : public Backend {
 public:
  CudaBackend(int ordinal, Precision precision) : context_(ordinal, precision) {}

  std::string name() const override {
    return fmt::format("cuda:{} ({}, {})", context_.ordinal(), context_.properties().name,
                       context_.precision() == Precision::kBF16 ? "bf16" : "f32");
  }
  tensor::Device device() const override {
    return {tensor::Device::Kind::kCuda, context_.ordinal()};
  }
  std::int64_t tile_tokens() const override { return 16384; }
  std::int64_t sweep_columns() const override { return 1024; }
  bool prefers_large_products() const override { return true; }
  Memory& memory() override { return *memory_; }
  Linalg& linalg() override { return *linalg_; }
  Neural& neural() override { return *neural_; }
  Codec& codec() override { return *codec_; }
  Solve& solve() override { return *solve_; }
  Gradient& gradient() override { return *gradient_; }
  void wait() override { context_.finish("work"); }
  Vectors& vectors() override { return *vectors_; }
  Limits measure_limits() override { return cuda::measure_limits(context_); }

 private:
  cuda::Context context_;
  std::unique_ptr<Memory> memory_ = cuda::make_memory(context_);
  std::unique_ptr<Linalg> linalg_ = cuda::make_linalg(context_);
  std::unique_ptr<Neural> neural_ = cuda::make_neural(context_);
  std::unique_ptr<Codec> codec_ = cuda::make_codec(context_);
  std::unique_ptr<Solve> solve_ = cuda::make_solve(context_);
  std::unique_ptr<Gradient> gradient_ = cuda::make_gradient(context_);
  std::unique_ptr<Vectors> vectors_ = cuda::make_vectors(context_);
};

}  // namespace

bool built_with_cuda() {
  return true;
}

std::vector<std::string> cuda_devices() {
  int count = 0;
  std::vector<std::string> names;
  if (cudaGetDeviceCount(&count) != cudaSuccess) return names;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties{};
    cuda::check(cudaGetDeviceProperties(&properties, i), "asking for the GPU's properties");
    names.push_back(fmt::format("{} ({} MiB)", properties.name, properties.totalGlobalMem >> 20));
  }
  return names;
}

std::unique_ptr<Backend> make_cuda_backend(int ordinal, Precision precision) {
  return std::make_unique<CudaBackend>(ordinal, precision);
}

}  // namespace whit::compute
