#include <algorithm>
#include <cmath>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "compute/cpu/blas.h"
#include "compute/cpu/parallel.h"
#include "compute/cpu/parts.h"
#include "compute/cpu/vector.h"
#include "compute/host/small_systems.h"

// H = Ũ Ũᵀ, Ũ upper triangular, panel by panel from the last column to the first; then U = Ũ/diag Ũ
// and D = (diag Ũ)².
namespace whit::compute::cpu {

namespace {

constexpr std::int64_t kPanel = 64;       // columns that are factored at once
constexpr std::int64_t kStep = 32;        // columns solved at once, by the inverse of their block
constexpr std::int64_t kSolveTile = 256;  // rows that are solved at once, tiles of small updates
constexpr std::int64_t kSystems = 16;     // small systems that a thread takes at once

// The diagonal block of one panel.
struct Diagonal {
  std::int64_t width = 0;
  std::vector<double> work = std::vector<double>(kPanel * kPanel);
  std::vector<float> inverses = std::vector<float>(kPanel * kStep);  // of its kStep blocks, [c, c']

  // Entry (i, j), i <= j, of the block: LAPACK sees rows and columns in reverse order, where Ũ is
  // the transpose of its upper factor.
  double& at(std::int64_t i, std::int64_t j) {
    return work[static_cast<std::size_t>((width - 1 - i) * width + (width - 1 - j))];
  }

  // Factors the block in double and leaves Ũ in it; its diagonal goes to `pivots`.
  bool factor(MatrixView block, double* pivots) {
    width = block.rows;
    for (std::int64_t i = 0; i < width; ++i)
      for (std::int64_t j = i; j < width; ++j)
        at(i, j) = static_cast<double>(block.row<float>(i)[j]);
    if (!cholesky_tile(width, work.data())) return false;
    for (std::int64_t i = 0; i < width; ++i) {
      pivots[i] = at(i, i);
      if (!(pivots[i] > 0) || !std::isfinite(pivots[i])) return false;
      for (std::int64_t j = i; j < width; ++j)
        block.row<float>(i)[j] = static_cast<float>(at(i, j));
    }
    for (std::int64_t c = 0; c < width; c += kStep) invert(c, std::min(kStep, width - c));
    return true;
  }

  const float* inverse(std::int64_t column) const { return inverses.data() + column * kStep; }

 private:
  void invert(std::int64_t first, std::int64_t size) {
    invert_triangle(size, &at(first + size - 1, first + size - 1), width);
    float* out = inverses.data() + first * kStep;
    for (std::int64_t i = 0; i < size; ++i)
      for (std::int64_t j = 0; j < size; ++j)
        out[i * kStep + j] = i <= j ? static_cast<float>(at(first + i, first + j)) : 0.0F;
  }
};

// x := x Ũ⁻ᵀ for some rows x[rows, width] of the panel above its diagonal block.
void solve_rows(const Diagonal& diagonal, ConstMatrixView block, MatrixView x, float* work) {
  const std::int64_t last = (x.cols - 1) / kStep * kStep;
  for (std::int64_t c = last; c >= 0; c -= kStep) {
    const std::int64_t width = std::min(kStep, x.cols - c);
    const std::int64_t done = x.cols - c - width;
    if (done > 0)
      gemm_tile(x.rows, width, done, -1.0F, tile_at(x, 0, c + width), Transpose::kNo,
                tile_at(block, c, c + width), Transpose::kYes, 1.0F, tile_at(x, 0, c));
    gemm_tile(x.rows, width, width, 1.0F, tile_at(x, 0, c), Transpose::kNo,
              {diagonal.inverse(c), kStep}, Transpose::kYes, 0.0F, {work, kStep});
    for (std::int64_t r = 0; r < x.rows; ++r)
      std::copy_n(work + r * kStep, width, x.row<float>(r) + c);
  }
}

// Columns that are factored, panel by panel, before the rest of the matrix sees them: fewer passes
// over a matrix that no cache holds. Depends on nothing but its size.
std::int64_t block_width(std::int64_t size) {
  return size >= 1536 ? 512 : 256;
}

// Tiles of the update of all the rest: large where there are enough of them for many threads.
std::int64_t tile_width(std::int64_t size) {
  return size >= 4096 ? 512 : kSolveTile;
}

struct Columns {
  std::int64_t begin;
  std::int64_t end;
};

// H[:, j] -= P[:] P[j]ᵀ above and on the diagonal, for j in `columns`, P = H[:, panel] to their
// right.
void update(int threads, MatrixView h, Columns columns, Columns panel, std::int64_t tile) {
  const std::int64_t depth = panel.end - panel.begin;
  std::vector<std::pair<std::int64_t, std::int64_t>> tiles;
  for (std::int64_t j = columns.begin; j < columns.end; j += tile) {
    for (std::int64_t i = 0; i < j; i += tile) tiles.emplace_back(i, j);
    tiles.emplace_back(j, j);
  }
  parallel_for(threads, static_cast<std::int64_t>(tiles.size()), [&](std::int64_t t) {
    const auto [i, j] = tiles[static_cast<std::size_t>(t)];
    const std::int64_t width = std::min(tile, columns.end - j);
    if (i == j)
      downdate_tile(width, depth, tile_at(h, j, panel.begin), tile_at(h, j, j));
    else
      gemm_tile(std::min(tile, j - i), width, depth, -1.0F, tile_at(h, i, panel.begin),
                Transpose::kNo, tile_at(h, j, panel.begin), Transpose::kYes, 1.0F,
                tile_at(h, i, j));
  });
}

// Columns divided by their diagonal, ones on it, zeros below.
void make_unit(int threads, MatrixView h, const std::vector<double>& pivots) {
  const std::vector<float> divisor(pivots.begin(), pivots.end());
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
    std::vector<double> pivots(static_cast<std::size_t>(h.rows));
    const std::int64_t wide = block_width(h.rows);
    for (std::int64_t end = h.rows; end > 0;) {
      const Columns block{(end - 1) / wide * wide, end};
      if (!factor_block(h, block, pivots)) return std::nullopt;
      update(threads_, h, {0, block.begin}, block, tile_width(h.rows));
      end = block.begin;
    }
    make_unit(threads_, h, pivots);
    for (double& d : pivots) d *= d;
    return pivots;
  }

  void solve_udu(ConstMatrixView u, std::span<const double> d, MatrixView b) override {
    base::check(u.rows == u.cols && b.cols == u.rows, "solve_udu: extents");
    base::check(static_cast<std::int64_t>(d.size()) == u.rows, "solve_udu: pivots");
    parallel_pieces(threads_, b.rows, kSolveTile, [&](std::int64_t begin, std::int64_t count) {
      const MatrixView x = b.rows_of(begin, count);
      solve_unit_tile(count, u.rows, tile_at(u, 0, 0), Transpose::kYes, tile_at(x, 0, 0));
      for (std::int64_t n = 0; n < count; ++n) {
        float* row = x.row<float>(n);
        for (std::size_t k = 0; k < d.size(); ++k)
          row[k] = static_cast<float>(static_cast<double>(row[k]) / d[k]);
      }
      solve_unit_tile(count, u.rows, tile_at(u, 0, 0), Transpose::kNo, tile_at(x, 0, 0));
    });
  }

  void solve_small(std::int64_t size, std::span<const double> a, std::span<double> b) override {
    const std::int64_t count = host::checked_systems(size, a, b);
    parallel_pieces(threads_, count, kSystems, [&](std::int64_t begin, std::int64_t some) {
      std::vector<double> work(static_cast<std::size_t>(size * size));
      for (std::int64_t i = begin; i < begin + some; ++i) {
        std::copy_n(a.data() + i * size * size, size * size, work.data());
        if (!solve_positive(size, work.data(), b.data() + i * size))
          std::fill_n(b.data() + i * size, size, 0.0);
      }
    });
  }

 private:
  // Ũ in the columns of `block`, all rows, panel by panel.
  bool factor_block(MatrixView h, Columns block, std::vector<double>& pivots) const {
    Diagonal diagonal;
    Scratch scratch(threads_, kSolveTile * kStep);
    for (std::int64_t end = block.end; end > block.begin;) {
      const std::int64_t first = (end - 1) / kPanel * kPanel;
      const MatrixView corner = h.sub(first, end - first, first, end - first);
      if (!diagonal.factor(corner, pivots.data() + first)) return false;
      parallel_pieces(threads_, first, kSolveTile, [&](std::int64_t begin, std::int64_t count) {
        solve_rows(diagonal, corner, h.sub(begin, count, first, end - first), scratch.mine());
      });
      update(threads_, h, {block.begin, first}, {first, end}, kSolveTile);
      end = first;
    }
    return true;
  }

  int threads_;
};

}  // namespace

std::unique_ptr<Solve> make_solve(int threads) {
  return std::make_unique<CpuSolve>(threads);
}

}  // namespace whit::compute::cpu
