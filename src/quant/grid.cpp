#include "quant/grid.h"

#include <utility>

#include "base/checked.h"
#include "base/error.h"

namespace whit::quant {

using base::ErrorKind;
using tensor::Dtype;

tensor::ConstMatrixView Grid::zeros_view() const {
  return zeros.empty() ? tensor::ConstMatrixView{} : zeros.matrix();
}

Grid fit_grid(compute::Backend& backend, tensor::ConstMatrixView w, const compute::GridArgs& args,
              std::span<const float> column_weights) {
  if (args.bits < 2 || args.bits > 8)
    base::fail(ErrorKind::kUsage, "bits", "{}; expected 2 to 8", args.bits);
  if (args.group_size < 1 || args.group_size > w.cols)
    base::fail(ErrorKind::kUsage, "group_size", "{} for a weight of {} columns; expected 1 to {}",
               args.group_size, w.cols, w.cols);
  const std::int64_t groups = base::ceil_div(w.cols, args.group_size);
  Grid grid;
  grid.scales = backend.memory().allocate({w.rows, groups}, Dtype::kF32);
  tensor::MatrixView zeros;
  if (!args.symmetric) {
    grid.zeros = backend.memory().allocate({w.rows, groups}, Dtype::kF32);
    zeros = grid.zeros.matrix();
  }
  backend.codec().fit_scales(w, args, column_weights, grid.scales.matrix(), zeros);
  return grid;
}

tensor::Tensor round_codes(compute::Backend& backend, tensor::ConstMatrixView w,
                           const compute::GridArgs& args, const Grid& grid) {
  tensor::Tensor codes = backend.memory().allocate({w.rows, w.cols}, Dtype::kI8);
  backend.codec().round_to_grid(w, args, grid.scales_view(), grid.zeros_view(), codes.matrix());
  return codes;
}

namespace {

// Zero points are whole numbers of at most 8 bits: rounding them on a grid of step 1 stores them as
// I8 wherever they live.
tensor::Tensor to_i8(compute::Backend& backend, const tensor::Tensor& zeros) {
  const auto view = zeros.matrix();
  Grid unit;
  unit.scales = backend.memory().allocate({view.rows, 1}, Dtype::kF32);
  backend.memory().fill(unit.scales.matrix(), 1.0F);
  compute::GridArgs args;
  args.bits = 8;
  args.group_size = view.cols;
  return round_codes(backend, view, args, unit);
}

}  // namespace

scheme::GroupedInt assemble(compute::Backend& backend, Grid grid, tensor::Tensor codes,
                            const compute::GridArgs& args) {
  scheme::GroupedInt weight;
  weight.bits = args.bits;
  weight.group_size = args.group_size;
  weight.channel = args.group_size == codes.shape()[1];
  weight.scale_dtype = args.scale_dtype;
  weight.codes = std::move(codes);
  if (!grid.zeros.empty()) weight.zeros = to_i8(backend, grid.zeros);
  weight.scales = std::move(grid.scales);
  return weight;
}

}  // namespace whit::quant
