#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cusolverDn.h>

#include <cstdint>
#include <span>
#include <vector>

#include "compute/backend.h"

namespace whit::compute::cuda {

// Throw kResource where the GPU's memory is exhausted, else kBug, naming what was tried.
void check(cudaError_t code, const char* what);
void check(cublasStatus_t code, const char* what);
void check(cusolverStatus_t code, const char* what);
// Throws kBug unless `holds`. Kernels' files do not see base/error.h: nvcc cannot read fmt.
void require(bool holds, const char* what);
// Errors: kUnsupported, always.
[[noreturn]] void fail_dtype(const char* what, tensor::Dtype dtype, const char* expected);
[[noreturn]] void fail_token(std::int32_t id, std::int64_t vocabulary);  // kInput

// One GPU: a stream in whose order everything happens, and the handles of CUDA's libraries on it.
class Context {
 public:
  // Errors: kUsage where there is no such GPU; kUnsupported where it is older than sm_80.
  Context(int ordinal, Precision precision);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  int ordinal() const { return ordinal_; }
  Precision precision() const { return precision_; }
  const cudaDeviceProp& properties() const { return properties_; }
  cudaStream_t stream() const { return stream_; }
  cublasHandle_t blas() const { return blas_; }
  cusolverDnHandle_t solver() const { return solver_; }

  // Bytes whose contents are undefined, in the stream's order.
  void* take(std::size_t bytes) const;
  void give_back(void* memory) const noexcept;
  // Bytes that were given back and are kept for the next.
  std::uint64_t unused() const;
  // The most bytes that were taken from the device at once, what is kept for the next included.
  std::uint64_t peak() const;
  // After a kernel was launched: whether it could be.
  void launched(const char* what) const { check(cudaGetLastError(), what); }
  // Until all work is done; errors of kernels appear here.
  void finish(const char* what) const { check(cudaStreamSynchronize(stream_), what); }

 private:
  int ordinal_;
  Precision precision_;
  cudaDeviceProp properties_{};
  cudaMemPool_t pool_ = nullptr;
  cudaStream_t stream_ = nullptr;
  cublasHandle_t blas_ = nullptr;
  cusolverDnHandle_t solver_ = nullptr;
  void* blas_workspace_ = nullptr;
};

// Both on the GPU, of one dtype and the same extents.
void copy_matrix(const Context& context, ConstMatrixView from, MatrixView to);

// Device memory of one call.
template <typename T>
class Temporary {
 public:
  Temporary(const Context& context, std::int64_t count)
      : context_(&context), count_(count), data_(static_cast<T*>(context.take(bytes()))) {}
  // A copy of host values.
  Temporary(const Context& context, std::span<const T> host)
      : Temporary(context, static_cast<std::int64_t>(host.size())) {
    if (!host.empty())
      check(cudaMemcpyAsync(data_, host.data(), host.size_bytes(), cudaMemcpyHostToDevice,
                            context.stream()),
            "upload of a list");
  }
  ~Temporary() { context_->give_back(data_); }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  T* data() const { return data_; }
  std::int64_t count() const { return count_; }
  void clear() const {
    check(cudaMemsetAsync(data_, 0, bytes(), context_->stream()), "clearing of device memory");
  }
  // Waits for the work before.
  std::vector<T> read() const {
    std::vector<T> host(static_cast<std::size_t>(count_));
    if (count_ > 0)
      check(
          cudaMemcpyAsync(host.data(), data_, bytes(), cudaMemcpyDeviceToHost, context_->stream()),
          "download of a list");
    context_->finish("download of a list");
    return host;
  }

 private:
  std::size_t bytes() const { return static_cast<std::size_t>(count_) * sizeof(T); }

  const Context* context_;
  std::int64_t count_;
  T* data_;
};

}  // namespace whit::compute::cuda
