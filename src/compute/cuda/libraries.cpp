#include "compute/cuda/libraries.h"

#include <cublas_v2.h>
#include <cusolverDn.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <string>

#include "base/error.h"

namespace whit::compute::cuda {

namespace {

class Library {
 public:
  explicit Library(std::string file) : file_(std::move(file)) {
    handle_ = ::dlopen(file_.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_ == nullptr)
      handle_ = ::dlopen((WHIT_CUDA_LIBRARY_DIR "/" + file_).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_ == nullptr)
      base::fail(base::ErrorKind::kUnsupported, file_,
                 "cannot be opened ({}); expected where the loader looks, or in {}", ::dlerror(),
                 WHIT_CUDA_LIBRARY_DIR);
  }

  void* find(const char* name) const {
    void* function = ::dlsym(handle_, name);
    if (function == nullptr)
      base::fail(base::ErrorKind::kUnsupported, file_, "has no {}; expected another version", name);
    return function;
  }

 private:
  std::string file_;
  void* handle_ = nullptr;  // never closed: the GPU's work may outlive everything else
};

const Library& blas() {
  static const Library library(fmt::format("libcublas.so.{}", CUBLAS_VER_MAJOR));
  return library;
}

const Library& solver() {
  static const Library library(fmt::format("libcusolver.so.{}", CUSOLVER_VER_MAJOR));
  return library;
}

// `declared` gives the type alone.
template <typename Result, typename... Parameters, typename... Arguments>
Result call(const Library& library, const char* name, Result (* /*declared*/)(Parameters...),
            Arguments... arguments) {
  return reinterpret_cast<Result (*)(Parameters...)>(library.find(name))(arguments...);
}

}  // namespace

void open_libraries() {
  for (const char* name :
       {"cublasCreate_v2", "cublasDestroy_v2", "cublasGemmEx", "cublasGetStatusString",
        "cublasSetStream_v2", "cublasSetWorkspace_v2", "cublasStrsm_v2"})
    blas().find(name);
  for (const char* name : {"cusolverDnCreate", "cusolverDnDestroy", "cusolverDnSetStream",
                           "cusolverDnSpotrf", "cusolverDnSpotrf_bufferSize"})
    solver().find(name);
}

}  // namespace whit::compute::cuda

extern "C" {

using whit::compute::cuda::blas;
using whit::compute::cuda::call;
using whit::compute::cuda::solver;

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  return call(blas(), "cublasCreate_v2", cublasCreate_v2, handle);
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  return call(blas(), "cublasDestroy_v2", cublasDestroy_v2, handle);
}

const char* cublasGetStatusString(cublasStatus_t status) {
  return call(blas(), "cublasGetStatusString", cublasGetStatusString, status);
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  return call(blas(), "cublasSetStream_v2", cublasSetStream_v2, handle, stream);
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, size_t bytes) {
  return call(blas(), "cublasSetWorkspace_v2", cublasSetWorkspace_v2, handle, workspace, bytes);
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b,
                            int m, int n, int k, const void* alpha, const void* a,
                            cudaDataType type_a, int lda, const void* b, cudaDataType type_b,
                            int ldb, const void* beta, void* c, cudaDataType type_c, int ldc,
                            cublasComputeType_t computed, cublasGemmAlgo_t algorithm) {
  using Function = cublasStatus_t (*)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int,
                                      int, int, const void*, const void*, cudaDataType, int,
                                      const void*, cudaDataType, int, const void*, void*,
                                      cudaDataType, int, cublasComputeType_t, cublasGemmAlgo_t);
  return call(blas(), "cublasGemmEx", Function{}, handle, op_a, op_b, m, n, k, alpha, a, type_a,
              lda, b, type_b, ldb, beta, c, type_c, ldc, computed, algorithm);
}

cublasStatus_t cublasStrsm_v2(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t fill,
                              cublasOperation_t op, cublasDiagType_t diagonal, int m, int n,
                              const float* alpha, const float* a, int lda, float* b, int ldb) {
  return call(blas(), "cublasStrsm_v2", cublasStrsm_v2, handle, side, fill, op, diagonal, m, n,
              alpha, a, lda, b, ldb);
}

cusolverStatus_t cusolverDnCreate(cusolverDnHandle_t* handle) {
  return call(solver(), "cusolverDnCreate", cusolverDnCreate, handle);
}

cusolverStatus_t cusolverDnDestroy(cusolverDnHandle_t handle) {
  return call(solver(), "cusolverDnDestroy", cusolverDnDestroy, handle);
}

cusolverStatus_t cusolverDnSetStream(cusolverDnHandle_t handle, cudaStream_t stream) {
  return call(solver(), "cusolverDnSetStream", cusolverDnSetStream, handle, stream);
}

cusolverStatus_t cusolverDnSpotrf_bufferSize(cusolverDnHandle_t handle, cublasFillMode_t fill,
                                             int n, float* a, int lda, int* count) {
  return call(solver(), "cusolverDnSpotrf_bufferSize", cusolverDnSpotrf_bufferSize, handle, fill, n,
              a, lda, count);
}

cusolverStatus_t cusolverDnSpotrf(cusolverDnHandle_t handle, cublasFillMode_t fill, int n, float* a,
                                  int lda, float* workspace, int count, int* info) {
  return call(solver(), "cusolverDnSpotrf", cusolverDnSpotrf, handle, fill, n, a, lda, workspace,
              count, info);
}

}  // extern "C"
