#include "compute/cuda/context.h"

#include <fmt/format.h>

#include "base/error.h"
#include "compute/cuda/libraries.h"
#include "compute/cuda/vector_sweep.h"

namespace whit::compute::cuda {

using base::ErrorKind;

void check(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  const ErrorKind kind = code == cudaErrorMemoryAllocation ? ErrorKind::kResource : ErrorKind::kBug;
  base::fail(kind, kind == ErrorKind::kResource ? "GPU memory" : "GPU", "{} failed: {}", what,
             cudaGetErrorString(code));
}

void check(cublasStatus_t code, const char* what) {
  if (code != CUBLAS_STATUS_SUCCESS)
    base::fail(ErrorKind::kBug, "cuBLAS", "{} failed: {}", what, cublasGetStatusString(code));
}

void check(cusolverStatus_t code, const char* what) {
  if (code != CUSOLVER_STATUS_SUCCESS)
    base::fail(ErrorKind::kBug, "cuSOLVER", "{} failed with status {}", what,
               static_cast<int>(code));
}

void require(bool holds, const char* what) {
  base::check(holds, what);
}

void fail_dtype(const char* what, tensor::Dtype dtype, const char* expected) {
  base::fail(ErrorKind::kUnsupported, what, "elements of type {}; expected {}",
             numeric::name_of(dtype), expected);
}

void fail_length(std::int64_t length, std::int64_t longest) {
  base::fail(ErrorKind::kUnsupported, "vectors on a GPU", "{} entries; expected at most {}", length,
             longest);
}

void fail_token(std::int32_t id, std::int64_t vocabulary) {
  base::fail(ErrorKind::kInput, "token id", "{}; expected 0 to {}", id, vocabulary - 1);
}

namespace {

constexpr std::size_t kBlasWorkspace = std::size_t{64} << 20;

}  // namespace

Context::Context(int ordinal, Precision precision) : ordinal_(ordinal), precision_(precision) {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) count = 0;
  if (ordinal < 0 || ordinal >= count)
    base::fail(ErrorKind::kUsage, "--device", "cuda:{}; this machine has {} CUDA device{}", ordinal,
               count, count == 1 ? "" : "s");
  check(cudaGetDeviceProperties(&properties_, ordinal), "asking for the GPU's properties");
  if (properties_.major < 8)
    base::fail(ErrorKind::kUnsupported, "--device",
               "cuda:{} is a {} of compute capability {}.{}; expected 8.0 or later", ordinal,
               properties_.name, properties_.major, properties_.minor);
  open_libraries();
  check(cudaSetDevice(ordinal), "choosing the GPU");
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating a stream");
  check(cudaDeviceGetDefaultMemPool(&pool_, ordinal), "asking for the memory pool");
  std::uint64_t keep = UINT64_MAX;
  check(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &keep),
        "setting up the memory pool");
  check(cublasCreate(&blas_), "cublasCreate");
  check(cublasSetStream(blas_, stream_), "cublasSetStream");
  // A workspace of its own: results do not depend on what else runs.
  blas_workspace_ = take(kBlasWorkspace);
  check(cublasSetWorkspace(blas_, blas_workspace_, kBlasWorkspace), "cublasSetWorkspace");
  check(cusolverDnCreate(&solver_), "cusolverDnCreate");
  check(cusolverDnSetStream(solver_, stream_), "cusolverDnSetStream");
}

Context::~Context() {
  cudaStreamSynchronize(stream_);
  if (solver_ != nullptr) cusolverDnDestroy(solver_);
  if (blas_ != nullptr) cublasDestroy(blas_);
  if (blas_workspace_ != nullptr) cudaFreeAsync(blas_workspace_, stream_);
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
}

void* Context::take(std::size_t bytes) const {
  void* memory = nullptr;
  const cudaError_t code = cudaMallocAsync(&memory, bytes == 0 ? 1 : bytes, stream_);
  if (code == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    std::size_t free = 0;
    std::size_t total = 0;
    cudaMemGetInfo(&free, &total);
    base::fail(ErrorKind::kResource, "GPU memory", "cannot allocate {} bytes; {} of {} are free",
               bytes, free, total);
  }
  check(code, "allocation of GPU memory");
  return memory;
}

void Context::give_back(void* memory) const noexcept {
  if (memory != nullptr) cudaFreeAsync(memory, stream_);
}

std::uint64_t Context::unused() const {
  std::uint64_t reserved = 0;
  std::uint64_t used = 0;
  check(cudaMemPoolGetAttribute(pool_, cudaMemPoolAttrReservedMemCurrent, &reserved),
        "memory pool");
  check(cudaMemPoolGetAttribute(pool_, cudaMemPoolAttrUsedMemCurrent, &used), "memory pool");
  return reserved - used;
}

std::uint64_t Context::peak() const {
  std::uint64_t most = 0;
  check(cudaMemPoolGetAttribute(pool_, cudaMemPoolAttrReservedMemHigh, &most), "memory pool");
  return most;
}

void copy_matrix(const Context& context, ConstMatrixView from, MatrixView to) {
  const auto bytes_of = [&](std::int64_t count) {
    return static_cast<std::size_t>(count * numeric::bits_of(from.dtype) / 8);
  };
  if (from.rows == 0 || from.cols == 0 || from.data == to.data) return;
  check(cudaMemcpy2DAsync(to.data, bytes_of(to.stride), from.data, bytes_of(from.stride),
                          bytes_of(from.cols), static_cast<std::size_t>(from.rows),
                          cudaMemcpyDeviceToDevice, context.stream()),
        "copy of a matrix");
}

}  // namespace whit::compute::cuda
