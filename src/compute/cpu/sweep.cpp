#include "compute/cpu/sweep.h"

#include <algorithm>
#include <vector>

#include "compute/cpu/lanes.h"
#include "compute/cpu/parallel.h"
#include "compute/cpu/row_tile.h"
#include "compute/host/codec_shape.h"

namespace whit::compute::cpu {

namespace {

constexpr int kSweptTogether = 4;  // columns whose feedback is summed in one pass

// round_half_even(value / scale) cut to [lo - zero, hi - zero]: the code less its zero.
template <typename Number>
WHIT_INLINE void step_of(const Number& value, const Number& scale, const Number& zero, Range range,
                         Number& out) {
  const Number quotient = value / scale;
  const Number lo = range.lo - zero;
  const Number hi = range.hi - zero;
  const Number above = quotient > lo ? quotient : lo;
  const Number inside = above < hi ? above : hi;
  out = (inside + kRound) - kRound;
}

// A tile of kRows rows, stored column by column: entry [k * kRows + r].
struct SweepTile {
  float* target;  // t on entry, the codes on return
  float* weight;  // t0 on entry, the error on return
  ConstMatrixView u;
  const float* scales;              // [slot * kRows + r]
  const float* zeros;               // the same
  const std::int32_t* column_slot;  // [columns]
  std::int64_t columns;
  Range range;
};

// Columns [k, k + kCount): the feedback of everything before them, then one after the other.
template <int kCount>
WHIT_INLINE void sweep_columns(const SweepTile& tile, std::int64_t k) {
  Floats sum[kCount][kVectors];
  for (int c = 0; c < kCount; ++c)
    for (int v = 0; v < kVectors; ++v) load(tile.target + (k + c) * kRows + v * kLanes, sum[c][v]);
  const float* u = tile.u.row<float>(0) + k;
  for (std::int64_t j = 0; j < k; ++j, u += tile.u.stride) {
    Floats error[kVectors];
    for (int v = 0; v < kVectors; ++v) load(tile.weight + j * kRows + v * kLanes, error[v]);
    for (int c = 0; c < kCount; ++c)
      for (int v = 0; v < kVectors; ++v) sum[c][v] += u[c] * error[v];
  }
  for (int c = 0; c < kCount; ++c, u += tile.u.stride) {
    const std::int64_t slot = static_cast<std::int64_t>(tile.column_slot[k + c]) * kRows;
    for (int v = 0; v < kVectors; ++v) {
      const std::int64_t at = (k + c) * kRows + v * kLanes;
      Floats scale;
      Floats zero;
      Floats step;
      Floats weight;
      load(tile.scales + slot + v * kLanes, scale);
      load(tile.zeros + slot + v * kLanes, zero);
      load(tile.weight + at, weight);
      step_of(sum[c][v], scale, zero, tile.range, step);
      weight -= step * scale;
      store(step + zero, tile.target + at);
      store(weight, tile.weight + at);
      for (int later = c + 1; later < kCount; ++later) sum[later][v] += u[later] * weight;
    }
  }
}

WHIT_MULTIVERSION void sweep_tile(const SweepTile& tile) {
  std::int64_t k = 0;
  for (; k + kSweptTogether <= tile.columns; k += kSweptTogether)
    sweep_columns<kSweptTogether>(tile, k);
  for (; k < tile.columns; ++k) sweep_columns<1>(tile, k);
}

void store_tile(const SweepTile& tile, float* work, MatrixView codes, MatrixView error) {
  store_rows(tile.weight, error);
  store_codes(tile.target, work, codes);
}

}  // namespace

void sweep(int threads, const SweepArgs& args, ConstMatrixView t0, ConstMatrixView t,
           MatrixView codes, MatrixView error) {
  host::check_sweep(args, t0, t, codes, error);
  const std::int64_t columns = t.cols;
  const Slots slots(args.column_group, args.scales.cols);
  const std::int64_t slot_floats = static_cast<std::int64_t>(slots.groups.size()) * kRows;
  Scratch scratch(threads, 3 * columns * kRows + 2 * slot_floats);
  parallel_pieces(threads, t.rows, kRows, [&](std::int64_t begin, std::int64_t count) {
    float* target = scratch.mine();
    float* weight = target + columns * kRows;
    float* work = weight + columns * kRows;
    float* scales = work + columns * kRows;
    float* zeros = scales + slot_floats;
    // Lanes without a row are computed and dropped; they must only be finite.
    if (count < kRows) std::fill_n(target, 2 * columns * kRows, 0.0F);
    std::fill_n(scales, slot_floats, 1.0F);
    std::fill_n(zeros, slot_floats, 0.0F);
    load_tile(t.rows_of(begin, count), target);
    load_tile(t0.rows_of(begin, count), weight);
    load_groups(args.scales.rows_of(begin, count), slots, scales);
    if (args.zeros.data != nullptr) load_groups(args.zeros.rows_of(begin, count), slots, zeros);
    const SweepTile tile{target,  weight,
                         args.u,  scales,
                         zeros,   slots.of_column.data(),
                         columns, range_of(args.bits)};
    sweep_tile(tile);
    store_tile(tile, work, codes.rows_of(begin, count), error.rows_of(begin, count));
  });
}

WHIT_MULTIVERSION void round_group(const float* w, float scale, float zero, int bits,
                                   std::int8_t* codes, std::int64_t size) {
  const Range range{static_cast<float>(-(1 << (bits - 1))),
                    static_cast<float>((1 << (bits - 1)) - 1)};
  for (std::int64_t i = 0; i < size; ++i) {
    float step = 0;
    step_of(w[i], scale, zero, range, step);
    codes[i] = static_cast<std::int8_t>(static_cast<int>(step + zero));
  }
}

}  // namespace whit::compute::cpu
