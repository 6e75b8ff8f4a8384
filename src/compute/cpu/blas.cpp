#include "compute/cpu/blas.h"

#include <limits>

#include "base/error.h"

extern "C" {
// The Fortran interface is the same in every BLAS; it needs no header of a vendor.
void sgemm_(const char* ta, const char* tb, const int* m, const int* n, const int* k,
            const float* alpha, const float* a, const int* lda, const float* b, const int* ldb,
            const float* beta, float* c, const int* ldc);
void ssyrk_(const char* uplo, const char* trans, const int* n, const int* k, const float* alpha,
            const float* a, const int* lda, const float* beta, float* c, const int* ldc);
void sgemv_(const char* trans, const int* m, const int* n, const float* alpha, const float* a,
            const int* lda, const float* x, const int* incx, const float* beta, float* y,
            const int* incy);
void strsm_(const char* side, const char* uplo, const char* trans, const char* diag, const int* m,
            const int* n, const float* alpha, const float* a, const int* lda, float* b,
            const int* ldb);
void dpotrf_(const char* uplo, const int* n, double* a, const int* lda, int* info);
void dposv_(const char* uplo, const int* n, const int* nrhs, double* a, const int* lda, double* b,
            const int* ldb, int* info);
void dtrtri_(const char* uplo, const char* diag, const int* n, double* a, const int* lda,
             int* info);
__attribute__((weak)) void openblas_set_num_threads(int count);
__attribute__((weak)) char* openblas_get_config(void);
}

namespace whit::compute::cpu {

namespace {

int blas_int(std::int64_t value) {
  base::check(value >= 0 && value <= std::numeric_limits<int>::max(), "BLAS: extent beyond int");
  return static_cast<int>(value);
}

// BLAS wants a leading dimension of at least one.
int leading(std::int64_t stride) {
  return blas_int(stride < 1 ? 1 : stride);
}

constexpr int kUnit = 1;
constexpr float kOne = 1.0F;
constexpr float kNought = 0.0F;

}  // namespace

void keep_blas_single_threaded() {
  if (openblas_set_num_threads != nullptr) openblas_set_num_threads(1);
}

std::string blas_name() {
  if (openblas_get_config == nullptr) return "BLAS";
  const std::string config = openblas_get_config();
  const std::size_t first = config.find(' ');
  const std::size_t second = first == std::string::npos ? first : config.find(' ', first + 1);
  return config.substr(0, second);
}

// Row-major C = A B is column-major Cᵀ = Bᵀ Aᵀ.
void gemm_tile(std::int64_t m, std::int64_t n, std::int64_t k, float alpha, ConstTile a,
               Transpose ta, ConstTile b, Transpose tb, float beta, Tile c) {
  const int mm = blas_int(m);
  const int nn = blas_int(n);
  const int kk = blas_int(k);
  const int lda = leading(a.stride);
  const int ldb = leading(b.stride);
  const int ldc = leading(c.stride);
  const char* first = tb == Transpose::kYes ? "T" : "N";
  const char* second = ta == Transpose::kYes ? "T" : "N";
  sgemm_(first, second, &nn, &mm, &kk, &alpha, b.data, &ldb, a.data, &lda, &beta, c.data, &ldc);
}

void gram_tile(std::int64_t n, std::int64_t k, ConstTile x, Tile c) {
  const int nn = blas_int(n);
  const int kk = blas_int(k);
  const int ldx = leading(x.stride);
  const int ldc = leading(c.stride);
  ssyrk_("U", "N", &nn, &kk, &kOne, x.data, &ldx, &kNought, c.data, &ldc);
}

void vector_tile(std::int64_t n, std::int64_t k, ConstTile w, const float* x, float* y) {
  const int nn = blas_int(n);
  const int kk = blas_int(k);
  const int ldw = leading(w.stride);
  sgemv_("T", &kk, &nn, &kOne, w.data, &ldw, x, &kUnit, &kNought, y, &kUnit);
}

void downdate_tile(std::int64_t n, std::int64_t k, ConstTile x, Tile c) {
  const int nn = blas_int(n);
  const int kk = blas_int(k);
  const int ldx = leading(x.stride);
  const int ldc = leading(c.stride);
  constexpr float kMinusOne = -1.0F;
  ssyrk_("L", "T", &nn, &kk, &kMinusOne, x.data, &ldx, &kOne, c.data, &ldc);
}

// Column-major BLAS sees Uᵀ, lower triangular, and solves op(U)ᵀ Xᵀ = Bᵀ.
void solve_unit_tile(std::int64_t m, std::int64_t n, ConstTile u, Transpose tu, Tile x) {
  const int mm = blas_int(m);
  const int nn = blas_int(n);
  const int ldu = leading(u.stride);
  const int ldx = leading(x.stride);
  const char* trans = tu == Transpose::kYes ? "T" : "N";
  strsm_("L", "L", trans, "U", &nn, &mm, &kOne, u.data, &ldu, x.data, &ldx);
}

bool cholesky_tile(std::int64_t n, double* a) {
  const int nn = blas_int(n);
  int info = 0;
  dpotrf_("U", &nn, a, &nn, &info);
  return info == 0;
}

bool solve_positive(std::int64_t n, double* a, double* b) {
  const int nn = blas_int(n);
  int info = 0;
  dposv_("U", &nn, &kUnit, a, &nn, b, &nn, &info);
  return info == 0;
}

void invert_triangle(std::int64_t n, double* a, std::int64_t stride) {
  const int nn = blas_int(n);
  const int lda = leading(stride);
  int info = 0;
  dtrtri_("U", "N", &nn, a, &lda, &info);
  base::check(info == 0, "BLAS: inverse of a triangle with a zero pivot");
}

}  // namespace whit::compute::cpu
