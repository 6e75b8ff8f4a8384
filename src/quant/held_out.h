#pragma once

#include "quant/gptq.h"
#include "quant/teacher_target.h"

// Choices that are judged by tokens which they have not seen: the tokens of a statistic in two
// halves, one to fit and one to judge.
namespace whit::quant {

// GPTQ under the Gram and the factor of one half, judged by the Gram of the other:
// tr(E G Eᵀ) / tr(W G Wᵀ). 0 where the other half says nothing.
double held_out_error(compute::Backend& backend, tensor::ConstMatrixView w, const stats::Gram& fit,
                      const Factor& factor, const stats::Gram& judge, const compute::GridArgs& grid,
                      std::int64_t block_size);

// What tokens of one half say of a pull fitted on the other. With Z the full pull (W C + R) H⁻¹ of
// one half and G, P = W C + R of the other, moving W by a Z changes the squared error that is
// summed over the other half's tokens by a² size - 2 a along.
struct HeldOutPull {
  double along = 0;  // tr(Z Pᵀ)
  double size = 0;   // tr(Z G Zᵀ)

  // The a that is best, 0 to 1, and what that means for twice as many tokens: a signal with noise
  // of variance v over n tokens shrinks by 1 / (1 + v/n), so a becomes 2a / (1 + a).
  double share() const;
  // What that a takes off the error.
  double gain() const;

 private:
  double best() const;
};

// factor: of a Gram of the tokens that `fit` saw. Shares in `fit` and `judge` are not looked at.
HeldOutPull held_out_pull(compute::Backend& backend, tensor::ConstMatrixView w,
                          const Factor& factor, const TeacherPull& fit,
                          const stats::Gram& judge_gram, const TeacherPull& judge);

}  // namespace whit::quant
