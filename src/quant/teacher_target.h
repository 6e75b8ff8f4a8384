#pragma once

#include "compute/backend.h"
#include "quant/gptq.h"
#include "stats/cross_gram.h"

namespace whit::quant {

// How far the quantized model's hidden states are from the original's, where a linear reads them.
struct TeacherPull {
  // Sum of (x_t - x_s) x_sᵀ: x_t the original model's input of this linear, x_s the quantized's.
  const stats::CrossGram* input = nullptr;
  double input_share = 1.0;  // 0: ignore it, 1: aim at the original's output in full
  // Sum of (r_t - r_s) x_sᵀ, r the residual stream that the output is added to; may be null.
  const stats::CrossGram* residual = nullptr;
  double residual_share = 1.0;
};

// V - W of the target below, however large.
tensor::Tensor teacher_move(compute::Backend& backend, tensor::ConstMatrixView w,
                            const Factor& factor, const TeacherPull& pull);

// The weight to quantize so that its output on the quantized model's inputs is nearest to what the
// original computes on its own: argmin over V of the sum of |W x_t + r_t - V x_s - r_s|², damped,
// V = W + (share W C + R) H⁻¹ with the factor's damped H (GPTAQ's idea, arXiv:2504.02692).
// The factor is of a Gram of the very tokens that the sums saw: with others' moments V would be
// noise. w: F32 [N,K] on the device, unchanged; the result likewise.
tensor::Tensor teacher_target(compute::Backend& backend, tensor::ConstMatrixView w,
                              const Factor& factor, const TeacherPull& pull);

}  // namespace whit::quant
