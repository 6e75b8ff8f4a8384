#pragma once

#include <cstdint>
#include <string>

#include "compute/backend.h"

// The few BLAS and LAPACK routines that the CPU backend stands on, in row-major words. Each runs on
// the calling thread alone; whoever calls cuts the work into fixed tiles.
namespace whit::compute::cpu {

// Tells OpenBLAS to keep to one thread a call. Other libraries are quiet inside OpenMP regions.
void keep_blas_single_threaded();

// "OpenBLAS 0.3.21", or "BLAS" where the library does not say.
std::string blas_name();

// A row-major matrix in fp32 of which BLAS sees a tile.
struct ConstTile {
  const float* data;
  std::int64_t stride;
};
struct Tile {
  float* data;
  std::int64_t stride;
  operator ConstTile() const { return {data, stride}; }
};

// c[m,n] = alpha * op(a) op(b) + beta * c, depth k.
void gemm_tile(std::int64_t m, std::int64_t n, std::int64_t k, float alpha, ConstTile a,
               Transpose ta, ConstTile b, Transpose tb, float beta, Tile c);

// Lower triangle of c[n,n] = xᵀx, x[k,n]; the upper is left alone.
void gram_tile(std::int64_t n, std::int64_t k, ConstTile x, Tile c);

// y[n] = w[n,k] x[k].
void vector_tile(std::int64_t n, std::int64_t k, ConstTile w, const float* x, float* y);

// Upper triangle of c[n,n] -= x xᵀ, x[n,k]; the lower is left alone.
void downdate_tile(std::int64_t n, std::int64_t k, ConstTile x, Tile c);

// x[m,n] := x op(u)⁻¹, u[n,n] unit upper triangular.
void solve_unit_tile(std::int64_t m, std::int64_t n, ConstTile u, Transpose tu, Tile x);

// a[n,n] (column-major, upper triangle R, double) with a = RᵀR := R. False: not positive definite.
bool cholesky_tile(std::int64_t n, double* a);
// b := a⁻¹ b, a[n,n] row-major, symmetric, its lower triangle read; a is used up. False: not
// positive definite, b unchanged.
bool solve_positive(std::int64_t n, double* a, double* b);
// The same kind of triangle (with leading dimension `stride`) := its inverse.
void invert_triangle(std::int64_t n, double* a, std::int64_t stride);

inline ConstTile tile_at(const ConstMatrixView& m, std::int64_t i, std::int64_t j) {
  return {m.row<float>(i) + j, m.stride};
}
inline Tile tile_at(const MatrixView& m, std::int64_t i, std::int64_t j) {
  return {m.row<float>(i) + j, m.stride};
}

}  // namespace whit::compute::cpu
