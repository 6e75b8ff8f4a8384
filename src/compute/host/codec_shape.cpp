#include "compute/host/codec_shape.h"

#include <algorithm>

#include "base/checked.h"
#include "base/error.h"
#include "numeric/float_codec.h"

namespace whit::compute::host {

using base::check;

namespace {

bool same_extents(ConstMatrixView a, ConstMatrixView b) {
  return a.rows == b.rows && a.cols == b.cols;
}

}  // namespace

void check_scale_grid(ConstMatrixView codes, ConstMatrixView scales, std::int64_t block_rows,
                      std::int64_t block_cols) {
  check(block_rows > 0 && block_cols > 0, "decode_scaled_fp8: block extents");
  const std::int64_t rows = base::ceil_div(codes.rows, block_rows);
  const std::int64_t cols = base::ceil_div(codes.cols, block_cols);
  if (scales.rows < rows || scales.cols < cols)
    base::fail(base::ErrorKind::kInput, "scale grid", "[{}, {}]; expected at least [{}, {}]",
               scales.rows, scales.cols, rows, cols);
}

void check_float8(tensor::Dtype dtype, float limit) {
  const bool e4m3 = dtype == tensor::Dtype::kF8E4M3;
  check(e4m3 || dtype == tensor::Dtype::kF8E5M2, "FP8 codes: E4M3 or E5M2");
  check(limit > 0 && limit <= (e4m3 ? numeric::kE4M3Max : numeric::kE5M2Max),
        "FP8 codes: a limit within the format");
}

std::int64_t piece_of(const scheme::Float8Rounding& rounding, std::int64_t cols) {
  return rounding.scale > 0 || rounding.piece <= 0 ? cols : rounding.piece;
}

void check_encoding(ConstMatrixView x, ConstMatrixView scales, std::int64_t block_rows,
                    std::int64_t block_cols, float limit, ConstMatrixView codes) {
  check(same_extents(x, codes) && x.dtype == tensor::Dtype::kF32, "encode_scaled_fp8: extents");
  check(scales.dtype == tensor::Dtype::kF32, "encode_scaled_fp8: scales in F32");
  check_float8(codes.dtype, limit);
  check_scale_grid(codes, scales, block_rows, block_cols);
}

BlockGrid::BlockGrid(ConstMatrixView x, std::int64_t block_rows, std::int64_t cols_of_block)
    : block_cols(cols_of_block), matrix_cols(x.cols) {
  check(block_rows > 0 && block_cols > 0 && x.dtype == tensor::Dtype::kF32,
        "block_maxima: blocks of F32");
  rows = base::ceil_div(x.rows, block_rows);
  cols = base::ceil_div(x.cols, block_cols);
}

std::int64_t BlockGrid::width(std::int64_t c) const {
  return std::min(block_cols, matrix_cols - c * block_cols);
}

void check_narrow(ConstMatrixView x, ConstMatrixView out) {
  base::check(x.rows == out.rows && x.cols == out.cols, "narrow: extents");
  base::check(x.dtype == tensor::Dtype::kF32 && out.dtype == tensor::Dtype::kBF16,
              "narrow: F32 to BF16");
}

void check_grouped(const scheme::GroupedInt& weight, ConstMatrixView out) {
  check(weight.rows() == out.rows && weight.cols() == out.cols, "decode_grouped: extents");
  check(
      weight.group_size > 0 && weight.groups() >= base::ceil_div(weight.cols(), weight.group_size),
      "decode_grouped: groups");
}

void check_row_blocks(ConstMatrixView blocks, std::int64_t rows) {
  check(
      blocks.data == nullptr || (blocks.rows == rows && blocks.cols > 0 && rows % blocks.cols == 0),
      "row blocks: as many rows as the weight, in whole blocks");
}

void check_sweep(const SweepArgs& args, ConstMatrixView t0, ConstMatrixView t,
                 ConstMatrixView codes, ConstMatrixView error) {
  check(same_extents(t0, t) && same_extents(t0, codes) && same_extents(t0, error),
        "sweep_block: extents");
  check(args.u.rows == t0.cols && args.u.cols == t0.cols, "sweep_block: u");
  check_row_blocks(args.row_u, t0.rows);
  check(args.scales.rows == t0.rows, "sweep_block: scales");
  check(args.zeros.data == nullptr || same_extents(args.zeros, args.scales), "sweep_block: zeros");
  check(static_cast<std::int64_t>(args.column_group.size()) == t0.cols, "sweep_block: groups");
  for (const std::int32_t group : args.column_group)
    check(group >= 0 && group < args.scales.cols, "sweep_block: group index");
  check(args.bits >= 1 && args.bits <= 8, "sweep_block: bits");
}

void check_descent(const DescentArgs& args, ConstMatrixView gradient, ConstMatrixView codes,
                   ConstMatrixView error) {
  check(same_extents(gradient, codes) && same_extents(gradient, error), "descend_block: extents");
  check_row_blocks(args.m, gradient.rows);
  check(args.h.rows == gradient.cols && args.h.cols == gradient.cols, "descend_block: h");
  check(args.scales.rows == gradient.rows, "descend_block: scales");
  check(static_cast<std::int64_t>(args.column_group.size()) == gradient.cols,
        "descend_block: groups");
  for (const std::int32_t group : args.column_group)
    check(group >= 0 && group < args.scales.cols, "descend_block: group index");
  check(args.bits >= 1 && args.bits <= 8, "descend_block: bits");
}

}  // namespace whit::compute::host
