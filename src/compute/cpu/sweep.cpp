#include "compute/cpu/sweep.h"

#include <algorithm>
#include <vector>

#include "compute/cpu/multiversion.h"
#include "compute/cpu/parallel.h"
#include "compute/host/codec_shape.h"

namespace whit::compute::cpu {

namespace {

constexpr int kRows = 64;              // rows of a tile
constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding and taking it away rounds to whole

struct Range {
  float lo;
  float hi;
};

Range range_of(int bits) {
  return {static_cast<float>(scheme::code_min(bits)), static_cast<float>(scheme::code_max(bits))};
}

// round_half_even(value / scale) cut to [lo - zero, hi - zero]: the code less its zero.
WHIT_INLINE float step_of(float value, float scale, float zero, Range range) {
  const float quotient = value / scale;
  const float lo = range.lo - zero;
  const float hi = range.hi - zero;
  const float above = quotient > lo ? quotient : lo;
  const float inside = above < hi ? above : hi;
  return (inside + kRound) - kRound;
}

// A tile of kRows rows, stored column by column: entry [k * kRows + r].
struct SweepTile {
  float* target;  // t on entry
  float* weight;  // t0 on entry, the error on return
  float* code;
  const float* u;       // transposed: u[k * columns + j] is the feedback of column j on column k
  const float* scales;  // [slot * kRows + r]
  const float* zeros;   // the same
  const std::int32_t* column_slot;  // [columns]
  std::int64_t columns;
  Range range;
};

WHIT_MULTIVERSION void sweep_tile(const SweepTile& tile) {
  for (std::int64_t k = 0; k < tile.columns; ++k) {
    const float* feedback = tile.u + k * tile.columns;
    float sum[kRows];
    for (int r = 0; r < kRows; ++r) sum[r] = tile.target[k * kRows + r];
    for (std::int64_t j = 0; j < k; ++j) {
      const float factor = feedback[j];
      const float* error = tile.weight + j * kRows;
      for (int r = 0; r < kRows; ++r) sum[r] += factor * error[r];
    }
    const float* scale = tile.scales + tile.column_slot[k] * kRows;
    const float* zero = tile.zeros + tile.column_slot[k] * kRows;
    float* weight = tile.weight + k * kRows;
    float* code = tile.code + k * kRows;
    for (int r = 0; r < kRows; ++r) {
      const float step = step_of(sum[r], scale[r], zero[r], tile.range);
      code[r] = step + zero[r];
      weight[r] -= step * scale[r];
    }
  }
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

// Columns of up to kRows rows into [column * kRows + row]; rows that are missing become `fill`.
void load_tile(ConstMatrixView m, float fill, float* out) {
  for (std::int64_t r = 0; r < kRows; ++r) {
    const float* row = r < m.rows ? m.row<float>(r) : nullptr;
    for (std::int64_t k = 0; k < m.cols; ++k) out[k * kRows + r] = row == nullptr ? fill : row[k];
  }
}

void load_groups(ConstMatrixView m, const Slots& slots, float fill, float* out) {
  for (std::size_t s = 0; s < slots.groups.size(); ++s)
    for (std::int64_t r = 0; r < kRows; ++r)
      out[static_cast<std::int64_t>(s) * kRows + r] =
          r < m.rows && m.data != nullptr ? m.row<float>(r)[slots.groups[s]] : fill;
}

void store_tile(const SweepTile& tile, MatrixView codes, MatrixView error) {
  for (std::int64_t r = 0; r < codes.rows; ++r) {
    std::int8_t* code = codes.row<std::int8_t>(r);
    float* rest = error.row<float>(r);
    for (std::int64_t k = 0; k < tile.columns; ++k) {
      code[k] = static_cast<std::int8_t>(tile.code[k * kRows + r]);
      rest[k] = tile.weight[k * kRows + r];
    }
  }
}

std::vector<float> transposed(ConstMatrixView u) {
  std::vector<float> out(static_cast<std::size_t>(u.rows * u.cols));
  for (std::int64_t j = 0; j < u.rows; ++j)
    for (std::int64_t k = 0; k < u.cols; ++k)
      out[static_cast<std::size_t>(k * u.rows + j)] = u.row<float>(j)[k];
  return out;
}

}  // namespace

void sweep(int threads, const SweepArgs& args, ConstMatrixView t0, ConstMatrixView t,
           MatrixView codes, MatrixView error) {
  host::check_sweep(args, t0, t, codes, error);
  const std::int64_t columns = t.cols;
  const Slots slots(args.column_group, args.scales.cols);
  const std::int64_t slot_floats = static_cast<std::int64_t>(slots.groups.size()) * kRows;
  const std::vector<float> u = transposed(args.u);
  Scratch scratch(threads, 3 * columns * kRows + 2 * slot_floats);
  parallel_pieces(threads, t.rows, kRows, [&](std::int64_t begin, std::int64_t count) {
    float* target = scratch.mine();
    float* weight = target + columns * kRows;
    float* code = weight + columns * kRows;
    float* scales = code + columns * kRows;
    float* zeros = scales + slot_floats;
    load_tile(t.rows_of(begin, count), 0.0F, target);
    load_tile(t0.rows_of(begin, count), 0.0F, weight);
    load_groups(args.scales.rows_of(begin, count), slots, 1.0F, scales);
    if (args.zeros.data == nullptr)
      std::fill_n(zeros, slot_floats, 0.0F);
    else
      load_groups(args.zeros.rows_of(begin, count), slots, 0.0F, zeros);
    const SweepTile tile{target,
                         weight,
                         code,
                         u.data(),
                         scales,
                         zeros,
                         slots.of_column.data(),
                         columns,
                         range_of(args.bits)};
    sweep_tile(tile);
    store_tile(tile, codes.rows_of(begin, count), error.rows_of(begin, count));
  });
}

WHIT_MULTIVERSION void round_group(const float* w, float scale, float zero, int bits,
                                   std::int8_t* codes, std::int64_t size) {
  const Range range{static_cast<float>(-(1 << (bits - 1))),
                    static_cast<float>((1 << (bits - 1)) - 1)};
  for (std::int64_t i = 0; i < size; ++i)
    codes[i] = static_cast<std::int8_t>(step_of(w[i], scale, zero, range) + zero);
}

}  // namespace whit::compute::cpu
