#pragma once

#include <cstdint>
#include <functional>

#include "compute/backend.h"

namespace whit::quant {

// A linear map of rows that differs from row to row, as products alone tell.
struct RowMaps {
  using Product = std::function<void(tensor::ConstMatrixView v, tensor::MatrixView out)>;
  Product forward;  // out_n = J_n v_n
  Product back;     // out_n = J_nᵀ v_n
};

struct RowLeastSquaresArgs {
  double rel_damp = 2;  // relative to the mean of J Jᵀ's eigenvalues, each row's own
  int steps = 4;
};

// x_n that comes near argmin |J_n x - b_n|² + damping_n |x|², by steps of conjugate gradients from
// 0; each lowers it. b: F32 [N,K] on the device; so is the result. The mean eigenvalue of a row is
// taken from one product with random signs.
tensor::Tensor row_least_squares(compute::Backend& backend, const RowMaps& maps,
                                 tensor::ConstMatrixView b, const RowLeastSquaresArgs& args);

}  // namespace whit::quant
