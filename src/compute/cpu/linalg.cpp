#include <algorithm>
#include <bit>

#include "base/checked.h"
#include "base/error.h"
#include "compute/cpu/blas.h"
#include "compute/cpu/gram.h"
#include "compute/cpu/parallel.h"
#include "compute/cpu/parts.h"
#include "compute/cpu/vector.h"

namespace whit::compute::cpu {

namespace {

using base::ceil_div;
using base::check;

// Tiles of the output depend on nothing but its extents: large ones (less packing in BLAS) where
// there are enough of them for many threads.
struct TileExtents {
  std::int64_t rows;
  std::int64_t cols;
};
constexpr std::int64_t kTileCols = 512;

TileExtents tile_of(std::int64_t rows, std::int64_t cols) {
  constexpr std::int64_t kEnough = 12;
  for (const TileExtents tile : {TileExtents{512, 1024}, TileExtents{512, 512}})
    if ((rows / tile.rows) * (cols / tile.cols) >= kEnough) return tile;
  return {256, kTileCols};
}

// Rows that an elementwise function hands to a thread at once.
constexpr std::int64_t kLinalgRows = 16;

template <typename Body>
void over_tiles(int threads, std::int64_t rows, std::int64_t cols, const Body& body) {
  const TileExtents tile = tile_of(rows, cols);
  const std::int64_t across = ceil_div(cols, tile.cols);
  parallel_for(threads, ceil_div(rows, tile.rows) * across, [&](std::int64_t i) {
    const std::int64_t r = i / across * tile.rows;
    const std::int64_t c = i % across * tile.cols;
    body(r, std::min(tile.rows, rows - r), c, std::min(tile.cols, cols - c));
  });
}

// Adds d H dᵀ of the rows of d to out, by the lower block triangle of H.
void quadratic_rows(ConstMatrixView d, ConstMatrixView h, float* product, double* out) {
  const std::int64_t size = h.rows;
  for (std::int64_t i0 = 0; i0 < size; i0 += kTileCols) {
    const std::int64_t width = std::min(kTileCols, size - i0);
    const Tile p{product, kTileCols};
    gemm_tile(d.rows, width, width, 1.0F, tile_at(d, 0, i0), Transpose::kNo, tile_at(h, i0, i0),
              Transpose::kNo, 0.0F, p);
    for (std::int64_t n = 0; n < d.rows; ++n)
      out[n] += dot(product + n * kTileCols, d.row<float>(n) + i0, width);
    if (i0 == 0) continue;
    gemm_tile(d.rows, width, i0, 1.0F, tile_at(d, 0, 0), Transpose::kNo, tile_at(h, 0, i0),
              Transpose::kNo, 0.0F, p);
    for (std::int64_t n = 0; n < d.rows; ++n)
      out[n] += 2.0 * dot(product + n * kTileCols, d.row<float>(n) + i0, width);
  }
}

class CpuLinalg final : public Linalg {
 public:
  explicit CpuLinalg(int threads) : threads_(threads) {}

  void gemm(float alpha, ConstMatrixView a, Transpose ta, ConstMatrixView b, Transpose tb,
            float beta, MatrixView c) override {
    const bool at = ta == Transpose::kYes;
    const bool bt = tb == Transpose::kYes;
    const std::int64_t depth = at ? a.rows : a.cols;
    check((at ? a.cols : a.rows) == c.rows && (bt ? b.rows : b.cols) == c.cols &&
              (bt ? b.cols : b.rows) == depth,
          "gemm: extents");
    over_tiles(threads_, c.rows, c.cols,
               [&](std::int64_t i, std::int64_t rows, std::int64_t j, std::int64_t cols) {
                 gemm_tile(rows, cols, depth, alpha, at ? tile_at(a, 0, i) : tile_at(a, i, 0), ta,
                           bt ? tile_at(b, j, 0) : tile_at(b, 0, j), tb, beta, tile_at(c, i, j));
               });
  }

  void linear(ConstMatrixView x, ConstMatrixView w, const float* bias, MatrixView y) override {
    check(x.rows == y.rows && w.rows == y.cols && x.cols == w.cols, "linear: extents");
    if (w.dtype != tensor::Dtype::kF32)
      base::fail(base::ErrorKind::kUnsupported, "linear", "weights of type {}; expected F32",
                 numeric::name_of(w.dtype));
    over_tiles(threads_, y.rows, y.cols,
               [&](std::int64_t i, std::int64_t rows, std::int64_t j, std::int64_t cols) {
                 if (x.rows == 1)
                   vector_tile(cols, x.cols, tile_at(w, j, 0), x.row<float>(0),
                               y.row<float>(0) + j);
                 else
                   gemm_tile(rows, cols, x.cols, 1.0F, tile_at(x, i, 0), Transpose::kNo,
                             tile_at(w, j, 0), Transpose::kYes, 0.0F, tile_at(y, i, j));
                 if (bias == nullptr) return;
                 for (std::int64_t r = 0; r < rows; ++r)
                   add_to(y.row<float>(i + r) + j, bias + j, cols);
               });
  }

  void gram(ConstMatrixView x, std::span<const float> row_weights, MatrixView g) override {
    check(g.rows == x.cols && g.cols == x.cols, "gram: extents");
    check(row_weights.empty() || static_cast<std::int64_t>(row_weights.size()) == x.rows,
          "gram: one weight a row");
    add_gram(threads_, x, row_weights, g);
  }

  void permute(ConstMatrixView in, std::span<const std::int32_t> rows,
               std::span<const std::int32_t> cols, MatrixView out) override {
    check(out.rows == (rows.empty() ? in.rows : static_cast<std::int64_t>(rows.size())) &&
              out.cols == (cols.empty() ? in.cols : static_cast<std::int64_t>(cols.size())),
          "permute: extents");
    for (const std::int32_t r : rows) check(r >= 0 && r < in.rows, "permute: row index");
    for (const std::int32_t c : cols) check(c >= 0 && c < in.cols, "permute: column index");
    check(in.dtype == out.dtype &&
              (in.dtype == tensor::Dtype::kF32 || in.dtype == tensor::Dtype::kI8),
          "permute: dtype");
    if (in.dtype == tensor::Dtype::kI8)
      permute_as<std::int8_t>(in, rows, cols, out);
    else
      permute_as<float>(in, rows, cols, out);
  }

  std::vector<double> diagonal(ConstMatrixView square) override {
    check(square.rows == square.cols, "diagonal: square");
    std::vector<double> out(static_cast<std::size_t>(square.rows));
    for (std::int64_t i = 0; i < square.rows; ++i)
      out[static_cast<std::size_t>(i)] = static_cast<double>(square.row<float>(i)[i]);
    return out;
  }

  void add_to_diagonal(MatrixView a, std::span<const double> values) override {
    check(a.rows == a.cols && static_cast<std::int64_t>(values.size()) == a.rows,
          "add_to_diagonal: extents");
    for (std::int64_t i = 0; i < a.rows; ++i) {
      float& out = a.row<float>(i)[i];
      out = static_cast<float>(static_cast<double>(out) + values[static_cast<std::size_t>(i)]);
    }
  }

  void scale_add(float alpha, MatrixView a, float beta, ConstMatrixView b) override {
    check(a.rows == b.rows && a.cols == b.cols, "scale_add: extents");
    parallel_pieces(threads_, a.rows, kLinalgRows, [&](std::int64_t begin, std::int64_t count) {
      for (std::int64_t i = begin; i < begin + count; ++i)
        cpu::scale_add(alpha, a.row<float>(i), beta, b.row<float>(i), a.cols);
    });
  }

  std::vector<double> quadratic_form(ConstMatrixView d, ConstMatrixView h) override {
    check(h.rows == h.cols && d.cols == h.rows, "quadratic_form: extents");
    std::vector<double> out(static_cast<std::size_t>(d.rows), 0.0);
    constexpr std::int64_t kRows = 256;
    Scratch scratch(threads_, kRows * kTileCols);
    parallel_pieces(threads_, d.rows, kRows, [&](std::int64_t begin, std::int64_t count) {
      quadratic_rows(d.rows_of(begin, count), h, scratch.mine(), out.data() + begin);
    });
    return out;
  }

  std::vector<double> row_dots(ConstMatrixView a, ConstMatrixView b, std::int64_t width) override {
    check(a.rows == b.rows && a.cols == b.cols && width > 0, "row_dots: extents");
    const std::int64_t pieces = ceil_div(a.cols, width);
    std::vector<double> out(static_cast<std::size_t>(a.rows * pieces));
    parallel_pieces(threads_, a.rows, kLinalgRows, [&](std::int64_t begin, std::int64_t count) {
      for (std::int64_t n = begin; n < begin + count; ++n)
        for (std::int64_t p = 0; p < pieces; ++p)
          out[static_cast<std::size_t>(n * pieces + p)] =
              dot(a.row<float>(n) + p * width, b.row<float>(n) + p * width,
                  std::min(width, a.cols - p * width));
    });
    return out;
  }

  void column_max_abs(ConstMatrixView x, MatrixView most) override {
    check(x.dtype == tensor::Dtype::kF32 && most.dtype == tensor::Dtype::kF32,
          "column_max_abs: F32");
    check(most.rows == 1 && most.cols == x.cols, "column_max_abs: extents");
    constexpr std::int64_t kRows = 128;
    const auto cols = static_cast<std::size_t>(x.cols);
    const auto pieces = static_cast<std::size_t>(ceil_div(x.rows, kRows));
    std::vector<std::int32_t> found(pieces * cols);
    parallel_pieces(threads_, x.rows, kRows, [&](std::int64_t begin, std::int64_t count) {
      std::int32_t* piece = found.data() + begin / kRows * x.cols;
      for (std::int64_t i = begin; i < begin + count; ++i)
        raise_to_magnitudes(x.row<float>(i), piece, x.cols);
    });
    float* to = most.row<float>(0);
    for (std::size_t p = 0; p < pieces; ++p)
      for (std::size_t j = 0; j < cols; ++j) raise(to[j], found[p * cols + j]);
  }

  void row_max_abs(ConstMatrixView x, MatrixView most) override {
    check(x.dtype == tensor::Dtype::kF32 && most.dtype == tensor::Dtype::kF32, "row_max_abs: F32");
    check(most.rows == 1 && most.cols == x.rows, "row_max_abs: extents");
    float* to = most.row<float>(0);
    parallel_pieces(threads_, x.rows, kLinalgRows, [&](std::int64_t begin, std::int64_t count) {
      for (std::int64_t i = begin; i < begin + count; ++i)
        raise(to[i], largest_magnitude(x.row<float>(i), x.cols));
    });
  }

 private:
  // Bits of numbers that are not negative stand in the order of the numbers.
  static void raise(float& most, std::int32_t magnitude) {
    most = std::bit_cast<float>(std::max(std::bit_cast<std::int32_t>(most), magnitude));
  }

  template <typename T>
  void permute_as(ConstMatrixView in, std::span<const std::int32_t> rows,
                  std::span<const std::int32_t> cols, MatrixView out) const {
    parallel_pieces(threads_, out.rows, kLinalgRows, [&](std::int64_t begin, std::int64_t count) {
      for (std::int64_t i = begin; i < begin + count; ++i) {
        const T* from = in.row<T>(rows.empty() ? i : rows[static_cast<std::size_t>(i)]);
        T* to = out.row<T>(i);
        if (cols.empty())
          std::copy_n(from, out.cols, to);
        else
          for (std::int64_t j = 0; j < out.cols; ++j)
            to[j] = from[cols[static_cast<std::size_t>(j)]];
      }
    });
  }

  int threads_;
};

}  // namespace

std::unique_ptr<Linalg> make_linalg(int threads) {
  return std::make_unique<CpuLinalg>(threads);
}

}  // namespace whit::compute::cpu
