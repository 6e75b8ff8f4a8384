#include <omp.h>

#include <cmath>
#include <memory>
#include <optional>

#include "compute/cpu/parts.h"
#include "compute/cuda/kernel.cuh"
#include "compute/cuda/parts.h"

namespace whit::compute::cuda {

namespace {

constexpr int kSide = 32;
constexpr int kTall = 8;

// write(size-1-b, size-1-a, read(a, b)) for every entry (a, b) of a square matrix, both along rows.
template <typename Read, typename Write>
__global__ void turn_kernel(std::int64_t size, Read read, Write write) {
  __shared__ float tile[kSide][kSide + 1];
  const std::int64_t top = static_cast<std::int64_t>(blockIdx.y) * kSide;
  const std::int64_t left = static_cast<std::int64_t>(blockIdx.x) * kSide;
  for (int y = static_cast<int>(threadIdx.y); y < kSide; y += kTall)
    if (top + y < size && left + threadIdx.x < size)
      tile[y][threadIdx.x] = read(top + y, left + threadIdx.x);
  __syncthreads();
  for (int y = static_cast<int>(threadIdx.y); y < kSide; y += kTall)
    if (top + threadIdx.x < size && left + y < size)
      write(size - 1 - left - y, size - 1 - top - threadIdx.x, tile[threadIdx.x][y]);
}

template <typename Read, typename Write>
void turn(const Context& context, std::int64_t size, const char* what, Read read, Write write) {
  const auto tiles = static_cast<unsigned>(base::ceil_div<std::int64_t>(size, kSide));
  turn_kernel<<<dim3(tiles, tiles), dim3(kSide, kTall), 0, context.stream()>>>(size, read, write);
  context.launched(what);
}

// Ũ out of the Cholesky factor of the reversed matrix: H = Ũ Ũᵀ, U = Ũ/diag Ũ, D = (diag Ũ)².
// l: column-major lower factor, so l[j * size + i] is L(i, j).
void take_unit_upper(const Context& context, const float* l, MatrixView h, double* pivots) {
  const auto to = rows_of<float>(h);
  const std::int64_t size = h.rows;
  turn(
      context, size, "unit factor",
      [=] __device__(std::int64_t a, std::int64_t b) {
        const float diagonal = l[a * size + a];
        if (a == b)
          pivots[size - 1 - a] = static_cast<double>(diagonal) * static_cast<double>(diagonal);
        return b < a ? 0.0F : a == b ? 1.0F : l[a * size + b] / diagonal;
      },
      [=] __device__(std::int64_t i, std::int64_t j, float value) { to[i][j] = value; });
}

class CudaSolve final : public Solve {
 public:
  explicit CudaSolve(const Context& context)
      : context_(context), host_(cpu::make_solve(omp_get_max_threads())) {}

  std::optional<std::vector<double>> factor_udu(MatrixView h) override {
    require(h.rows == h.cols, "factor_udu: square");
    const std::int64_t size = h.rows;
    if (size == 0) return std::vector<double>{};
    const Temporary<float> reversed(context_, size * size);
    const Temporary<double> pivots(context_, size);
    const auto from = rows_of<float>(h);
    float* l = reversed.data();
    // Only the upper triangle of h is read: column-major, the lower one of the reversed matrix.
    turn(
        context_, size, "reversing",
        [=] __device__(std::int64_t a, std::int64_t b) { return a <= b ? from[a][b] : 0.0F; },
        [=] __device__(std::int64_t j, std::int64_t i, float value) {
          if (j <= i) l[j * size + i] = value;
        });
    if (!cholesky(l, size)) return std::nullopt;
    take_unit_upper(context_, l, h, pivots.data());
    std::vector<double> d = pivots.read();
    for (const double pivot : d)
      if (!(pivot > 0) || !std::isfinite(pivot)) return std::nullopt;
    return d;
  }

  void solve_udu(ConstMatrixView u, std::span<const double> d, MatrixView b) override {
    require(u.rows == u.cols && b.cols == u.rows, "solve_udu: extents");
    require(static_cast<std::int64_t>(d.size()) == u.rows, "solve_udu: pivots");
    if (b.rows == 0 || b.cols == 0) return;
    // Row-major X Uᵀ = B is column-major U' X' = B', with U' = Uᵀ as it lies: lower triangular.
    solve_triangle(u, CUBLAS_OP_T, b);
    const Temporary<double> pivots(context_, d);
    const double* pivot = pivots.data();
    const auto to = rows_of<float>(b);
    each(context_, b.rows, b.cols, "solve_udu", [=] __device__(std::int64_t n, std::int64_t k) {
      to[n][k] = static_cast<float>(static_cast<double>(to[n][k]) / pivot[k]);
    });
    solve_triangle(u, CUBLAS_OP_N, b);
  }

  void solve_small(std::int64_t size, std::span<const double> a, std::span<double> b) override {
    host_->solve_small(size, a, b);  // whose matrices lie on the host by contract
  }

 private:
  // Lower factor, column-major, in place.
  bool cholesky(float* a, std::int64_t size) const {
    const auto n = static_cast<int>(size);
    int work_size = 0;
    check(cusolverDnSpotrf_bufferSize(context_.solver(), CUBLAS_FILL_MODE_LOWER, n, a, n,
                                      &work_size),
          "workspace of a Cholesky factor");
    const Temporary<float> work(context_, work_size);
    const Temporary<int> info(context_, 1);
    check(cusolverDnSpotrf(context_.solver(), CUBLAS_FILL_MODE_LOWER, n, a, n, work.data(),
                           work_size, info.data()),
          "Cholesky factor");
    return info.read()[0] == 0;
  }

  // Column-major, b is B' = Bᵀ [K, N] and u is U' = Uᵀ, lower triangular: op(U') X' = B'.
  void solve_triangle(ConstMatrixView u, cublasOperation_t op, MatrixView b) const {
    const float one = 1.0F;
    check(cublasStrsm(context_.blas(), CUBLAS_SIDE_LEFT, CUBLAS_FILL_MODE_LOWER, op,
                      CUBLAS_DIAG_UNIT, static_cast<int>(b.cols), static_cast<int>(b.rows), &one,
                      reinterpret_cast<const float*>(u.data), static_cast<int>(u.stride),
                      reinterpret_cast<float*>(b.data), static_cast<int>(b.stride)),
          "triangular solve");
  }

  const Context& context_;
  std::unique_ptr<Solve> host_;
};

}  // namespace

std::unique_ptr<Solve> make_solve(const Context& context) {
  return std::make_unique<CudaSolve>(context);
}

}  // namespace whit::compute::cuda
