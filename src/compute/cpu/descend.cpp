#include "compute/cpu/descend.h"

#include <algorithm>
#include <vector>

#include "compute/cpu/lanes.h"
#include "compute/cpu/parallel.h"
#include "compute/cpu/row_tile.h"
#include "compute/host/codec_shape.h"

namespace whit::compute::cpu {

namespace {

constexpr int kTogether = 4;  // columns whose feedback is summed in one pass

struct DescentTile {
  float* gradient;  // on entry; on return what each column's value moved by
  float* codes;     // updated
  ConstMatrixView h;
  const float* inverse;             // [columns] 1 / h[k,k], 0 where that is 0
  const float* scales;              // [slot * kRows + r]
  const std::int32_t* column_slot;  // [columns]
  std::int64_t columns;
  Range range;
};

// The best code of one column, the others held; `moved` is what its value moves by.
WHIT_INLINE void best_code(const Floats& gradient, float inverse, const Floats& scale, Range range,
                           Floats& code, Floats& moved) {
  constexpr float kLeast = 0.5F + kDescentMargin;
  const Floats step = gradient * inverse / scale;
  const Floats optimum = code + step;
  const Floats above = optimum > range.lo ? optimum : Floats{} + range.lo;
  const Floats inside = above < range.hi ? above : Floats{} + range.hi;
  const Floats rounded = (inside + kRound) - kRound;
  const Floats up = step > kLeast ? rounded : code;
  const Floats best = step < -kLeast ? rounded : up;
  moved = (best - code) * scale;
  code = best;
}

// Columns [k, k + kCount): what all before them moved by, then one after the other.
template <int kCount>
WHIT_INLINE void descend_columns(const DescentTile& tile, std::int64_t k) {
  Floats sum[kCount][kVectors];
  for (int c = 0; c < kCount; ++c)
    for (int v = 0; v < kVectors; ++v)
      load(tile.gradient + (k + c) * kRows + v * kLanes, sum[c][v]);
  const float* h = tile.h.row<float>(0) + k;
  for (std::int64_t j = 0; j < k; ++j, h += tile.h.stride) {
    Floats moved[kVectors];
    for (int v = 0; v < kVectors; ++v) load(tile.gradient + j * kRows + v * kLanes, moved[v]);
    for (int c = 0; c < kCount; ++c)
      for (int v = 0; v < kVectors; ++v) sum[c][v] -= h[c] * moved[v];
  }
  for (int c = 0; c < kCount; ++c, h += tile.h.stride) {
    const std::int64_t slot = static_cast<std::int64_t>(tile.column_slot[k + c]) * kRows;
    for (int v = 0; v < kVectors; ++v) {
      const std::int64_t at = (k + c) * kRows + v * kLanes;
      Floats scale;
      Floats code;
      Floats moved;
      load(tile.scales + slot + v * kLanes, scale);
      load(tile.codes + at, code);
      best_code(sum[c][v], tile.inverse[k + c], scale, tile.range, code, moved);
      store(code, tile.codes + at);
      store(moved, tile.gradient + at);
      for (int later = c + 1; later < kCount; ++later) sum[later][v] -= h[later] * moved;
    }
  }
}

WHIT_MULTIVERSION void descend_tile(const DescentTile& tile) {
  std::int64_t k = 0;
  for (; k + kTogether <= tile.columns; k += kTogether) descend_columns<kTogether>(tile, k);
  for (; k < tile.columns; ++k) descend_columns<1>(tile, k);
}

WHIT_MULTIVERSION void subtract_tile(const float* moved, float* error, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) error[i] -= moved[i];
}

std::vector<float> inverse_diagonal(ConstMatrixView h) {
  std::vector<float> out(static_cast<std::size_t>(h.rows));
  for (std::int64_t k = 0; k < h.rows; ++k) {
    const float diagonal = h.row<float>(k)[k];
    out[static_cast<std::size_t>(k)] = diagonal > 0 ? 1.0F / diagonal : 0.0F;
  }
  return out;
}

}  // namespace

void descend(int threads, const DescentArgs& args, ConstMatrixView gradient, MatrixView codes,
             MatrixView error) {
  host::check_descent(args, gradient, codes, error);
  const std::int64_t columns = codes.cols;
  const Slots slots(args.column_group, args.scales.cols);
  const std::vector<float> inverse = inverse_diagonal(args.h);
  const std::int64_t entries = columns * kRows;
  Scratch scratch(threads, 4 * entries + slots.floats());
  parallel_pieces(threads, codes.rows, kRows, [&](std::int64_t begin, std::int64_t count) {
    float* slope = scratch.mine();
    float* code = slope + entries;
    float* lost = code + entries;
    float* work = lost + entries;
    float* scales = work + entries;
    // Lanes without a row are computed and dropped; they must only be finite.
    if (count < kRows) std::fill_n(slope, 3 * entries, 0.0F);
    std::fill_n(scales, slots.floats(), 1.0F);
    load_tile(gradient.rows_of(begin, count), slope);
    load_codes(codes.rows_of(begin, count), work, code);
    load_tile(error.rows_of(begin, count), lost);
    load_groups(args.scales.rows_of(begin, count), slots, scales);
    descend_tile({slope, code, args.h, inverse.data(), scales, slots.of_column.data(), columns,
                  range_of(args.bits)});
    subtract_tile(slope, lost, entries);
    store_rows(lost, error.rows_of(begin, count));
    store_codes(code, work, codes.rows_of(begin, count));
  });
}

}  // namespace whit::compute::cpu
