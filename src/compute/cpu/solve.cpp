#include <algorithm>
#include <cmath>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "compute/cpu/blas.h"
#include "compute/cpu/parallel.h"
#include "compute/cpu/parts.h"
#include "compute/cpu/vector.h"

namespace whit::compute::cpu {

namespace {

// Columns that are factored at once, and tiles of the update that follows.
constexpr std::int64_t kPanel = 128;
constexpr std::int64_t kTile = 256;

// C = Ũ Ũᵀ of one diagonal block, upper triangular, in double: the ordinary Cholesky of the block
// read backwards. Stores Ũ in the block and its diagonal in `diagonal`.
bool factor_diagonal(MatrixView block, double* work, double* diagonal) {
  const std::int64_t size = block.rows;
  const auto at = [&](std::int64_t i, std::int64_t j) -> double& {
    return work[(size - 1 - j) * size + (size - 1 - i)];
  };
  for (std::int64_t i = 0; i < size; ++i)
    for (std::int64_t j = i; j < size; ++j) at(i, j) = static_cast<double>(block.row<float>(i)[j]);
  if (!cholesky_tile(size, work)) return false;
  for (std::int64_t i = 0; i < size; ++i) {
    diagonal[i] = at(i, i);
    if (!(diagonal[i] > 0) || !std::isfinite(diagonal[i])) return false;
    for (std::int64_t j = i; j < size; ++j) block.row<float>(i)[j] = static_cast<float>(at(i, j));
  }
  return true;
}

// A[i,j] -= P[i] P[j]ᵀ for the upper block triangle above the panel P[first, width].
void update(int threads, MatrixView h, std::int64_t first, std::int64_t width) {
  const std::int64_t across = base::ceil_div(first, kTile);
  std::vector<std::pair<std::int64_t, std::int64_t>> tiles;
  for (std::int64_t j = across - 1; j >= 0; --j)
    for (std::int64_t i = 0; i <= j; ++i) tiles.emplace_back(i * kTile, j * kTile);
  parallel_for(threads, static_cast<std::int64_t>(tiles.size()), [&](std::int64_t t) {
    const auto [i, j] = tiles[static_cast<std::size_t>(t)];
    gemm_tile(std::min(kTile, first - i), std::min(kTile, first - j), width, -1.0F,
              tile_at(h, i, first), Transpose::kNo, tile_at(h, j, first), Transpose::kYes, 1.0F,
              tile_at(h, i, j));
  });
}

// Columns divided by their diagonal, ones on it, zeros below.
void make_unit(int threads, MatrixView h, const std::vector<double>& diagonal) {
  std::vector<float> divisor(diagonal.begin(), diagonal.end());
  parallel_pieces(threads, h.rows, 16, [&](std::int64_t begin, std::int64_t count) {
    for (std::int64_t i = begin; i < begin + count; ++i) {
      float* row = h.row<float>(i);
      std::fill_n(row, i, 0.0F);
      divide_by(row + i, divisor.data() + i, h.cols - i);
      row[i] = 1.0F;
    }
  });
}

class CpuSolve final : public Solve {
 public:
  explicit CpuSolve(int threads) : threads_(threads) {}

  std::optional<std::vector<double>> factor_udu(MatrixView h) override {
    base::check(h.rows == h.cols, "factor_udu: square");
    std::vector<double> diagonal(static_cast<std::size_t>(h.rows));
    std::vector<double> work(static_cast<std::size_t>(kPanel * kPanel));
    // The first panel takes what the others leave over.
    for (std::int64_t end = h.rows; end > 0;) {
      const std::int64_t first = (end - 1) / kPanel * kPanel;
      const std::int64_t width = end - first;
      const MatrixView block = h.sub(first, width, first, width);
      if (!factor_diagonal(block, work.data(), diagonal.data() + first)) return std::nullopt;
      parallel_pieces(threads_, first, kTile, [&](std::int64_t begin, std::int64_t count) {
        solve_tile(count, width, tile_at(block, 0, 0), tile_at(h, begin, first));
      });
      update(threads_, h, first, width);
      end = first;
    }
    make_unit(threads_, h, diagonal);
    for (double& d : diagonal) d *= d;
    return diagonal;
  }

 private:
  int threads_;
};

}  // namespace

std::unique_ptr<Solve> make_solve(int threads) {
  return std::make_unique<CpuSolve>(threads);
}

}  // namespace whit::compute::cpu
