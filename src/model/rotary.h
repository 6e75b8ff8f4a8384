#pragma once

#include <map>
#include <utility>

#include "model/blocks.h"

namespace whit::model {

// Rotates queries and keys of a run's sequences. Angles are products of fp32 numbers, as in the
// models' own code; only the positions that occur are tabulated.
class Rotary {
 public:
  Rotary(const LayerRun& run, const RopeSpec& spec);

  // `heads` heads of the rows of `tile`: columns first_col + h * head_stride + [0, dim).
  void rotate(const Tile& tile, tensor::MatrixView x, std::int64_t heads, std::int64_t first_col,
              std::int64_t head_stride);
  // The transposed rotation, which takes a gradient back.
  void rotate_back(const Tile& tile, tensor::MatrixView x, std::int64_t heads,
                   std::int64_t first_col, std::int64_t head_stride);

 private:
  void turn(const Tile& tile, tensor::MatrixView x, std::int64_t heads, std::int64_t first_col,
            std::int64_t head_stride, bool back);
  const tensor::Tensor& table(std::int64_t length, bool back);

  const LayerRun* run_;
  const RopeSpec* spec_;
  std::int32_t first_ = 0, end_ = 1;   // positions that occur
  std::vector<std::int32_t> shifted_;  // position - first_ of every row
  // By length (0: not stretched) and direction.
  std::map<std::pair<std::int64_t, bool>, tensor::Tensor> tables_;
};

}  // namespace whit::model
