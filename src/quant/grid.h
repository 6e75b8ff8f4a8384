#pragma once

#include <cstdint>
#include <span>

#include "compute/backend.h"
#include "scheme/scheme.h"

namespace whit::quant {

// Where each group of each row may land.
struct Grid {
  tensor::Tensor scales;  // F32 [N,G], exact in args.scale_dtype
  tensor::Tensor zeros;   // F32 [N,G], whole numbers; empty if symmetric

  tensor::ConstMatrixView scales_view() const { return scales.matrix(); }
  tensor::ConstMatrixView zeros_view() const;  // data == nullptr if symmetric
};

// Finds the grid of w: F32 [N,K] on the device, columns in their original order. column_weights:
// empty, or K weights of the search's squared error (Codec::fit_scales).
// Errors: kUsage for bits outside 2..8 or a group size outside 1..K; kUnsupported where it does not
// divide K.
Grid fit_grid(compute::Backend& backend, tensor::ConstMatrixView w, const compute::GridArgs& args,
              std::span<const float> column_weights = {});

// Plain rounding of w on `grid`: I8 [N,K] codes.
tensor::Tensor round_codes(compute::Backend& backend, tensor::ConstMatrixView w,
                           const compute::GridArgs& args, const Grid& grid);

// The logical weight; `channel` is said where one group spans the row.
scheme::GroupedInt assemble(compute::Backend& backend, Grid grid, tensor::Tensor codes,
                            const compute::GridArgs& args);

}  // namespace whit::quant
