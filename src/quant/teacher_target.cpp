#include "quant/teacher_target.h"

#include <cmath>
#include <numeric>

#include "base/error.h"

namespace whit::quant {

using compute::Transpose;
using tensor::Dtype;
using tensor::Tensor;

namespace {

// A move of more than half of the weight's norm is no correction: it is cut to that.
constexpr double kFarthest = 0.5;

double squares_of(compute::Backend& backend, tensor::ConstMatrixView m) {
  const std::vector<double> rows = backend.linalg().row_dots(m, m, m.cols);
  return std::accumulate(rows.begin(), rows.end(), 0.0);
}

}  // namespace

tensor::Tensor teacher_move(compute::Backend& backend, tensor::ConstMatrixView w,
                            const Factor& factor, const TeacherPull& pull) {
  base::check(pull.input != nullptr && w.cols == factor.width(),
              "teacher_target: width of the factor");
  // Sums become means as in H = 2/tokens * Gram; a Gram that leans on a layer's counts its tokens.
  const double to_hessian = 2.0 / static_cast<double>(factor.tokens);
  Tensor moved = backend.memory().allocate({w.rows, w.cols}, Dtype::kF32);
  backend.linalg().gemm(static_cast<float>(to_hessian * pull.input_share), w, Transpose::kNo,
                        pull.input->sum(), Transpose::kNo, 0.0F, moved.matrix());
  if (pull.residual != nullptr)
    backend.linalg().scale_add(1.0F, moved.matrix(),
                               static_cast<float>(to_hessian * pull.residual_share),
                               pull.residual->sum());
  Tensor ordered = backend.memory().allocate({w.rows, w.cols}, Dtype::kF32);
  backend.linalg().permute(moved.matrix(), {}, factor.order, ordered.matrix());
  backend.solve().solve_udu(factor.u.matrix(), factor.pivots, ordered.matrix());
  std::vector<std::int32_t> inverse(factor.order.size());
  for (std::size_t i = 0; i < inverse.size(); ++i)
    inverse[static_cast<std::size_t>(factor.order[i])] = static_cast<std::int32_t>(i);
  backend.linalg().permute(ordered.matrix(), {}, inverse, moved.matrix());
  return moved;
}

tensor::Tensor teacher_target(compute::Backend& backend, tensor::ConstMatrixView w,
                              const Factor& factor, const TeacherPull& pull) {
  Tensor moved = teacher_move(backend, w, factor, pull);
  const double size = squares_of(backend, w);
  const double move = squares_of(backend, moved.matrix());
  const double factor_of_move =
      move > kFarthest * kFarthest * size ? kFarthest * std::sqrt(size / move) : 1.0;
  backend.linalg().scale_add(static_cast<float>(factor_of_move), moved.matrix(), 1.0F, w);
  return moved;
}

}  // namespace whit::quant
