#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "compute/cuda/kernel.cuh"
#include "compute/cuda/parts.h"
#include "compute/cuda/staging.h"

namespace whit::compute::cuda {

namespace {

class CudaMemory final : public Memory {
 public:
  explicit CudaMemory(const Context& context)
      : context_(context),
        staging_(context, context.stream()),
        later_(std::make_shared<Later>(context)) {}

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
      staging_.upload(host.data, out.data(), static_cast<std::size_t>(out.bytes()));
    return out;
  }

  Tensor download(const TensorView& device) override {
    Tensor out(device.shape, device.dtype);
    if (out.bytes() > 0)
      staging_.download(device.data, out.data(), static_cast<std::size_t>(out.bytes()));
    return out;
  }

  std::function<Tensor()> download_later(std::shared_ptr<const Tensor> device) override {
    return [event = std::make_shared<Event>(context_), later = later_,
            device = std::move(device)] { return later->download(*event, *device); };
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

  std::uint64_t peak() const override { return context_.peak(); }

 private:
  // What the stream was asked for before.
  class Event {
   public:
    explicit Event(const Context& context) {
      check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "creating an event");
      check(cudaEventRecord(event_, context.stream()), "recording an event");
    }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    ~Event() { cudaEventDestroy(event_); }
    cudaEvent_t get() const { return event_; }

   private:
    cudaEvent_t event_ = nullptr;
  };

  // Downloads on a stream of their own, for whatever thread asks.
  class Later {
   public:
    explicit Later(const Context& context) : context_(context), staging_(context, create()) {}
    Later(const Later&) = delete;
    Later& operator=(const Later&) = delete;
    ~Later() { cudaStreamDestroy(stream_); }

    Tensor download(const Event& after, const Tensor& device) {
      const std::lock_guard lock(mutex_);
      check(cudaSetDevice(context_.ordinal()), "choosing the GPU");
      check(cudaStreamWaitEvent(stream_, after.get()), "waiting for an event");
      Tensor out(device.shape(), device.dtype());
      if (out.bytes() > 0)
        staging_.download(device.data(), out.data(), static_cast<std::size_t>(out.bytes()));
      return out;
    }

   private:
    cudaStream_t create() {
      check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating a stream");
      return stream_;
    }

    const Context& context_;
    cudaStream_t stream_ = nullptr;
    Staging staging_;
    std::mutex mutex_;
  };

  Tensor undefined(tensor::Shape shape, tensor::Dtype dtype) const {
    const auto bytes = static_cast<std::size_t>(tensor::byte_size(shape, dtype));
    void* memory = context_.take(bytes);
    const Context* context = &context_;
    Tensor::Release owner(memory, [context](void* p) { context->give_back(p); });
    return Tensor(std::move(shape), dtype, static_cast<std::byte*>(memory),
                  {tensor::Device::Kind::kCuda, context_.ordinal()}, std::move(owner));
  }

  const Context& context_;
  Staging staging_;
  std::shared_ptr<Later> later_;
};

}  // namespace

std::unique_ptr<Memory> make_memory(const Context& context) {
  return std::make_unique<CudaMemory>(context);
}

}  // namespace whit::compute::cuda
