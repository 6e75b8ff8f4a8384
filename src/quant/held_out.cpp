#include "quant/held_out.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace whit::quant {

using compute::Transpose;
using tensor::ConstMatrixView;
using tensor::Dtype;
using tensor::Tensor;

namespace {

double sum_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

}  // namespace

double held_out_error(compute::Backend& backend, ConstMatrixView w, const stats::Gram& fit,
                      const Factor& factor, const stats::Gram& judge, const compute::GridArgs& grid,
                      std::int64_t block_size) {
  const scheme::GroupedInt weight = gptq(backend, w, fit, factor, grid, block_size, nullptr, {});
  Tensor error = backend.memory().allocate({w.rows, w.cols}, Dtype::kF32);
  backend.codec().decode_grouped(weight, error.matrix());
  backend.linalg().scale_add(-1.0F, error.matrix(), 1.0F, w);
  const double whole = sum_of(backend.linalg().quadratic_form(w, judge.sum()));
  const double lost = sum_of(backend.linalg().quadratic_form(error.matrix(), judge.sum()));
  return whole > 0 ? lost / whole : 0;
}

HeldOutPull held_out_pull(compute::Backend& backend, ConstMatrixView w, const Factor& factor,
                          const TeacherPull& fit, const stats::Gram& judge_gram,
                          const TeacherPull& judge) {
  base::check(fit.input != nullptr && judge.input != nullptr, "held_out_pull: both halves");
  TeacherPull full = fit;
  full.input_share = 1;
  full.residual_share = 1;
  const Tensor move = teacher_move(backend, w, factor, full);
  Tensor pull = backend.memory().allocate({w.rows, w.cols}, Dtype::kF32);
  backend.linalg().gemm(1.0F, w, Transpose::kNo, judge.input->sum(), Transpose::kNo, 0.0F,
                        pull.matrix());
  if (judge.residual != nullptr)
    backend.linalg().scale_add(1.0F, pull.matrix(), 1.0F, judge.residual->sum());
  return {sum_of(backend.linalg().row_dots(move.matrix(), pull.matrix(), w.cols)),
          sum_of(backend.linalg().quadratic_form(move.matrix(), judge_gram.sum()))};
}

double HeldOutPull::best() const {
  return size > 0 && along > 0 ? std::min(along / size, 1.0) : 0;
}

double HeldOutPull::share() const {
  return 2 * best() / (1 + best());
}

double HeldOutPull::gain() const {
  const double share = best();
  return share > 0 ? share * (2 * along - share * size) : 0;
}

}  // namespace whit::quant
