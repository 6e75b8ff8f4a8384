#include <memory>
#include <utility>

#include "compute/cuda/kernel.cuh"
#include "compute/cuda/parts.h"

namespace whit::compute::cuda {

namespace {

class CudaMemory final : public Memory {
 public:
  explicit CudaMemory(const Context& context) : context_(context) {}

  Tensor allocate(tensor::Shape shape, tensor::Dtype dtype) override {
    Tensor out = undefined(std::move(shape), dtype);
    if (out.bytes() > 0)
      check(cudaMemsetAsync(out.data(), 0, out.bytes(), context_.stream()), "clearing a tensor");
    return out;
  }

  Tensor upload(const TensorView& host) override {
    require(host.device == tensor::Device{}, "upload: a host tensor");
    Tensor out = undefined(host.shape, host.dtype);
    if (out.bytes() > 0)
      check(cudaMemcpyAsync(out.data(), host.data, out.bytes(), cudaMemcpyHostToDevice,
                            context_.stream()),
            "upload of a tensor");
    return out;
  }

  Tensor download(const TensorView& device) override {
    Tensor out(device.shape, device.dtype);
    if (out.bytes() > 0)
      check(cudaMemcpyAsync(out.data(), device.data, out.bytes(), cudaMemcpyDeviceToHost,
                            context_.stream()),
            "download of a tensor");
    context_.finish("download of a tensor");
    return out;
  }

  void copy(ConstMatrixView from, MatrixView to) override {
    require(from.rows == to.rows && from.cols == to.cols && from.dtype == to.dtype,
                "copy: extents and dtype");
    copy_matrix(context_, from, to);
  }

  void fill(MatrixView out, float value) override {
    require(out.dtype == tensor::Dtype::kF32, "fill: F32");
    const auto to = rows_of<float>(out);
    each(context_, out.rows, out.cols, "fill",
         [=] __device__(std::int64_t i, std::int64_t j) { to[i][j] = value; });
  }

  std::uint64_t available() const override {
    std::size_t free = 0;
    std::size_t total = 0;
    check(cudaMemGetInfo(&free, &total), "asking for the free memory");
    return free + context_.unused();
  }

 private:
  Tensor undefined(tensor::Shape shape, tensor::Dtype dtype) const {
    const auto bytes = static_cast<std::size_t>(tensor::byte_size(shape, dtype));
    void* memory = context_.take(bytes);
    const Context* context = &context_;
    Tensor::Release owner(memory, [context](void* p) { context->give_back(p); });
    return Tensor(std::move(shape), dtype, static_cast<std::byte*>(memory),
                  {tensor::Device::Kind::kCuda, context_.ordinal()}, std::move(owner));
  }

  const Context& context_;
};

}  // namespace

std::unique_ptr<Memory> make_memory(const Context& context) {
  return std::make_unique<CudaMemory>(context);
}

}  // namespace whit::compute::cuda
