#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/error.h"
#include "formats/stored_module.h"

namespace whit::formats {

namespace {

using base::ceil_div;
using base::ErrorKind;
using base::fail;
using scheme::ScaledFloat8;
using scheme::Strategy;
using tensor::Shape;

constexpr std::int64_t kUsualBlock = 128;

struct Blocks {
  Strategy strategy = Strategy::kBlock;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

// Block sizes that only the grid's shape tells: DeepSeek's 128 where they fit, else what divides.
Blocks infer_blocks(const std::string& subject, const Shape& grid, std::int64_t rows,
                    std::int64_t cols) {
  if (grid == Shape{ceil_div(rows, kUsualBlock), ceil_div(cols, kUsualBlock)})
    return {Strategy::kBlock, kUsualBlock, kUsualBlock};
  const bool divides = grid[0] > 0 && grid[1] > 0 && rows % grid[0] == 0 && cols % grid[1] == 0;
  if (!divides)
    fail(ErrorKind::kInput, subject,
         "shape {} fits no blocks of a [{}, {}] weight; expected a config", tensor::to_string(grid),
         rows, cols);
  return {Strategy::kBlock, rows / grid[0], cols / grid[1]};
}

Blocks blocks_of(const StoredModule& stored, const std::string& subject, const Shape& grid,
                 std::int64_t rows, std::int64_t cols) {
  const scheme::QuantArgs* args = stored.args(scheme::NumberType::kFloat);
  const bool two = grid.size() == 2;
  if (two && args != nullptr && args->strategy == Strategy::kBlock)
    return {Strategy::kBlock, args->block_rows, args->block_cols};
  if (two && args != nullptr && args->strategy == Strategy::kGroup)
    return {Strategy::kGroup, 1, args->group_size};
  if (tensor::element_count(grid) == 1) return {Strategy::kTensor, rows, cols};
  if (grid == Shape{rows} || grid == Shape{rows, 1}) return {Strategy::kChannel, 1, cols};
  if (!two)
    fail(ErrorKind::kInput, subject, "shape {}; expected [1], [{}, 1] or a grid of blocks",
         tensor::to_string(grid), rows);
  return infer_blocks(subject, grid, rows, cols);
}

std::string scale_suffix(const StoredModule& stored) {
  const bool inverse = stored.has("weight_scale_inv");
  const bool plain = stored.has("weight_scale");
  if (inverse == plain)
    fail(ErrorKind::kInput, stored.subject("weight"),
         "{} weight_scale_inv and weight_scale; expected one of them",
         inverse ? "has both" : "has neither");
  return inverse ? "weight_scale_inv" : "weight_scale";
}

}  // namespace

ScaledFloat8 read_float8(const StoredModule& stored) {
  const tensor::TensorView codes = stored.view("weight");
  if (codes.shape.size() != 2 || codes.elements() == 0)
    fail(codes.shape.size() == 3 ? ErrorKind::kUnsupported : ErrorKind::kInput,
         stored.subject("weight"), "shape {}; expected [rows, columns]",
         tensor::to_string(codes.shape));
  const std::string suffix = scale_suffix(stored);
  const std::string subject = stored.subject(suffix);
  const std::int64_t rows = codes.shape[0];
  const std::int64_t cols = codes.shape[1];
  const Shape grid = stored.view(suffix).shape;
  const Blocks blocks = blocks_of(stored, subject, grid, rows, cols);
  const std::int64_t need_rows = ceil_div(rows, blocks.rows);
  const std::int64_t need_cols = ceil_div(cols, blocks.cols);
  const std::int64_t have_cols = grid.size() == 2 ? grid[1] : 1;
  const std::int64_t have_rows = grid.empty() ? 1 : grid[0];
  if (have_rows < need_rows || have_cols < need_cols)
    fail(ErrorKind::kInput, subject,
         "shape {}; blocks of {} x {} of a [{}, {}] weight need [{}, {}]", tensor::to_string(grid),
         blocks.rows, blocks.cols, rows, cols, need_rows, need_cols);

  ScaledFloat8 weight;
  weight.strategy = blocks.strategy;
  weight.block_rows = blocks.rows;
  weight.block_cols = blocks.cols;
  weight.codes = tensor::Tensor(codes.shape, codes.dtype);
  std::memcpy(weight.codes.data(), codes.data, static_cast<std::size_t>(codes.bytes()));
  const std::vector<float> values = stored.scales(suffix);
  // Padded exports carry more scales than blocks: the rest belongs to nothing.
  weight.scales = tensor::Tensor({need_rows, need_cols}, tensor::Dtype::kF32);
  for (std::int64_t r = 0; r < need_rows; ++r)
    std::copy_n(values.begin() + r * have_cols, need_cols,
                weight.scales.as<float>() + r * need_cols);
  return weight;
}

}  // namespace whit::formats
