#include "compute/cpu/gram.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "compute/cpu/blas.h"
#include "compute/cpu/parallel.h"
#include "compute/cpu/vector.h"

namespace whit::compute::cpu {

namespace {

constexpr std::int64_t kPanelRows = 1024;
constexpr std::int64_t kTile = 512;
// Where the output has few tiles, so many panels are summed at once, each into its own memory.
constexpr std::int64_t kPiecesAtOnce = 32;

using TileIndex = std::pair<std::int64_t, std::int64_t>;  // first row, first column; row >= column

std::vector<TileIndex> lower_tiles(std::int64_t size) {
  std::vector<TileIndex> tiles;
  for (std::int64_t i = 0; i < size; i += kTile)
    for (std::int64_t j = 0; j <= i; j += kTile) tiles.emplace_back(i, j);
  return tiles;
}

struct Panels {
  ConstMatrixView x;
  ConstMatrixView weighted;  // w_t x_t; data == nullptr where there are no weights

  std::int64_t count() const { return base::ceil_div(x.rows, kPanelRows); }

  // The sum over panel p of tile (i, j), into out[kTile, kTile].
  void sum(std::int64_t p, TileIndex at, float* out) const {
    const std::int64_t first = p * kPanelRows;
    const std::int64_t rows = std::min(kPanelRows, x.rows - first);
    const std::int64_t height = std::min(kTile, x.cols - at.first);
    const std::int64_t width = std::min(kTile, x.cols - at.second);
    if (weighted.data == nullptr && at.first == at.second) {
      gram_tile(height, rows, tile_at(x, first, at.first), {out, kTile});
      return;
    }
    const ConstMatrixView& left = weighted.data == nullptr ? x : weighted;
    gemm_tile(height, width, rows, 1.0F, tile_at(left, first, at.first), Transpose::kYes,
              tile_at(x, first, at.second), Transpose::kNo, 0.0F, {out, kTile});
  }
};

// g += tile, lower triangle only.
void add_tile(MatrixView g, TileIndex at, const float* tile) {
  const std::int64_t height = std::min(kTile, g.rows - at.first);
  for (std::int64_t r = 0; r < height; ++r) {
    const std::int64_t width = std::min({kTile, g.cols - at.second, at.first + r + 1 - at.second});
    add_to(g.row<float>(at.first + r) + at.second, tile + r * kTile, width);
  }
}

void mirror(int threads, MatrixView g) {
  constexpr std::int64_t kBlock = 32;
  parallel_pieces(threads, g.rows, kBlock, [&](std::int64_t i0, std::int64_t rows) {
    for (std::int64_t j0 = i0; j0 < g.cols; j0 += kBlock) {
      const std::int64_t j1 = std::min(j0 + kBlock, g.cols);
      for (std::int64_t i = i0; i < i0 + rows; ++i)
        for (std::int64_t j = std::max(j0, i + 1); j < j1; ++j)
          g.row<float>(i)[j] = g.row<float>(j)[i];
    }
  });
}

// Many tiles: each is summed over all panels by one thread.
void sum_by_tile(int threads, const Panels& panels, const std::vector<TileIndex>& tiles,
                 MatrixView g) {
  Scratch scratch(threads, kTile * kTile);
  parallel_for(threads, static_cast<std::int64_t>(tiles.size()), [&](std::int64_t i) {
    const TileIndex at = tiles[static_cast<std::size_t>(i)];
    float* sum = scratch.mine();
    for (std::int64_t p = 0; p < panels.count(); ++p) {
      panels.sum(p, at, sum);
      add_tile(g, at, sum);
    }
  });
}

// Few tiles: the panels are summed side by side, then added in order.
void sum_by_panel(int threads, const Panels& panels, const std::vector<TileIndex>& tiles,
                  MatrixView g) {
  const std::int64_t count = static_cast<std::int64_t>(tiles.size());
  const std::int64_t batch = std::min(kPiecesAtOnce / count, panels.count());
  std::vector<float> sums(static_cast<std::size_t>(batch * count * kTile * kTile));
  for (std::int64_t first = 0; first < panels.count(); first += batch) {
    const std::int64_t now = std::min(batch, panels.count() - first);
    parallel_for(threads, now * count, [&](std::int64_t i) {
      panels.sum(first + i / count, tiles[static_cast<std::size_t>(i % count)],
                 sums.data() + i * kTile * kTile);
    });
    parallel_for(threads, count, [&](std::int64_t i) {
      for (std::int64_t p = 0; p < now; ++p)
        add_tile(g, tiles[static_cast<std::size_t>(i)],
                 sums.data() + (p * count + i) * kTile * kTile);
    });
  }
}

}  // namespace

void add_gram(int threads, ConstMatrixView x, std::span<const float> row_weights, MatrixView g) {
  if (x.rows == 0 || x.cols == 0) return;
  Panels panels{x, {}};
  Tensor weighted;
  if (!row_weights.empty()) {
    weighted = Tensor({x.rows, x.cols}, tensor::Dtype::kF32);
    const MatrixView out = weighted.matrix();
    parallel_pieces(threads, x.rows, 16, [&](std::int64_t begin, std::int64_t count) {
      for (std::int64_t t = begin; t < begin + count; ++t)
        scaled_copy(row_weights[static_cast<std::size_t>(t)], x.row<float>(t), out.row<float>(t),
                    x.cols);
    });
    panels.weighted = out;
  }
  const std::vector<TileIndex> tiles = lower_tiles(x.cols);
  if (static_cast<std::int64_t>(tiles.size()) * 2 > kPiecesAtOnce)
    sum_by_tile(threads, panels, tiles, g);
  else
    sum_by_panel(threads, panels, tiles, g);
  mirror(threads, g);
}

}  // namespace whit::compute::cpu
