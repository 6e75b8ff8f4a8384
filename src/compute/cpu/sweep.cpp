#include "compute/cpu/sweep.h"

#include <algorithm>
#include <vector>

#include "compute/cpu/lanes.h"
#include "compute/cpu/parallel.h"
#include "compute/host/codec_shape.h"

namespace whit::compute::cpu {

namespace {

constexpr int kVectors = 2;
constexpr int kRows = kVectors * kLanes;  // rows of a tile
constexpr int kTogether = 4;              // columns whose feedback is summed in one pass

struct Range {
  float lo;
  float hi;
};

Range range_of(int bits) {
  return {static_cast<float>(scheme::code_min(bits)), static_cast<float>(scheme::code_max(bits))};
}

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
  for (; k + kTogether <= tile.columns; k += kTogether) sweep_columns<kTogether>(tile, k);
  for (; k < tile.columns; ++k) sweep_columns<1>(tile, k);
}

// Groups that the block's columns touch, each once, and where each column finds its own.
struct Slots {
  std::vector<std::int32_t> groups;
  std::vector<std::int32_t> of_column;

  Slots(std::span<const std::int32_t> column_group, std::int64_t group_count)
      : of_column(column_group.size()) {
    std::vector<std::int32_t> slot(static_cast<std::size_t>(group_count), -1);
    for (std::size_t k = 0; k < column_group.size(); ++k) {
      std::int32_t& at = slot[static_cast<std::size_t>(column_group[k])];
      if (at < 0) {
        at = static_cast<std::int32_t>(groups.size());
        groups.push_back(column_group[k]);
      }
      of_column[k] = at;
    }
  }
};

// 16 x 16 floats from rows of `in` into columns of `out`, or back.
WHIT_MULTIVERSION void transpose_square(const float* in, std::int64_t in_stride, float* out,
                                        std::int64_t out_stride) {
  Floats rows[kLanes];
  for (int i = 0; i < kLanes; ++i) load(in + i * in_stride, rows[i]);
  transpose(rows);
  for (int i = 0; i < kLanes; ++i) store(rows[i], out + i * out_stride);
}

// in[rows, cols] -> out[cols, rows].
void transpose_matrix(const float* in, std::int64_t in_stride, std::int64_t rows, std::int64_t cols,
                      float* out, std::int64_t out_stride) {
  const std::int64_t whole_rows = rows / kLanes * kLanes;
  const std::int64_t whole_cols = cols / kLanes * kLanes;
  for (std::int64_t r = 0; r < whole_rows; r += kLanes)
    for (std::int64_t c = 0; c < whole_cols; c += kLanes)
      transpose_square(in + r * in_stride + c, in_stride, out + c * out_stride + r, out_stride);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = r < whole_rows ? whole_cols : 0; c < cols; ++c)
      out[c * out_stride + r] = in[r * in_stride + c];
}

// Columns of up to kRows rows into [column * kRows + row]; rows that are missing stay as they are.
void load_tile(ConstMatrixView m, float* out) {
  transpose_matrix(m.row<float>(0), m.stride, m.rows, m.cols, out, kRows);
}

void load_groups(ConstMatrixView m, const Slots& slots, float* out) {
  for (std::size_t s = 0; s < slots.groups.size(); ++s)
    for (std::int64_t r = 0; r < m.rows; ++r)
      out[static_cast<std::int64_t>(s) * kRows + r] = m.row<float>(r)[slots.groups[s]];
}

WHIT_MULTIVERSION void narrow(const float* codes, std::int8_t* out, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i)
    out[i] = static_cast<std::int8_t>(static_cast<int>(codes[i]));
}

// `work` holds kRows * columns floats.
void store_tile(const SweepTile& tile, float* work, MatrixView codes, MatrixView error) {
  transpose_matrix(tile.weight, kRows, tile.columns, codes.rows, error.row<float>(0), error.stride);
  transpose_matrix(tile.target, kRows, tile.columns, codes.rows, work, tile.columns);
  for (std::int64_t r = 0; r < codes.rows; ++r)
    narrow(work + r * tile.columns, codes.row<std::int8_t>(r), tile.columns);
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
