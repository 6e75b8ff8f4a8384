#include <utility>

#include "quant/gptq.h"
#include "quant/grid.h"

namespace whit::quant {

scheme::GroupedInt rtn(compute::Backend& backend, tensor::ConstMatrixView w,
                       const compute::GridArgs& args) {
  Grid grid = fit_grid(backend, w, args);
  tensor::Tensor codes = round_codes(backend, w, args, grid);
  return assemble(backend, std::move(grid), std::move(codes), args);
}

}  // namespace whit::quant
