#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "compute/backend.h"
#include "compute/cpu/lanes.h"

// A tile of kRows rows stored column by column, entry [column * kRows + row], so that a recurrence
// over columns runs over rows in vector lanes.
namespace whit::compute::cpu {

inline constexpr int kVectors = 2;
inline constexpr int kRows = kVectors * kLanes;

struct Range {
  float lo;
  float hi;
};

inline Range range_of(int bits) {
  return {static_cast<float>(scheme::code_min(bits)), static_cast<float>(scheme::code_max(bits))};
}

// Groups that a block's columns touch, each once, and where each column finds its own.
struct Slots {
  std::vector<std::int32_t> groups;
  std::vector<std::int32_t> of_column;

  Slots(std::span<const std::int32_t> column_group, std::int64_t group_count);
  std::int64_t floats() const { return static_cast<std::int64_t>(groups.size()) * kRows; }
};

// Rows of m (kRows at most) into a tile; rows that are missing stay as they are.
void load_tile(ConstMatrixView m, float* out);
// The tile's first m.rows rows.
void store_rows(const float* tile, MatrixView m);
// The same for I8 codes, held as floats in the tile; `work` has room for kRows * columns floats.
void load_codes(ConstMatrixView codes, float* work, float* out);
void store_codes(const float* tile, float* work, MatrixView codes);
// The touched groups of m [rows, groups] as columns of a tile.
void load_groups(ConstMatrixView m, const Slots& slots, float* out);

}  // namespace whit::compute::cpu
