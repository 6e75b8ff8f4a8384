#pragma once

#include <vector>

#include "compute/backend.h"
#include "quant/gptq.h"
#include "stats/cross_gram.h"

namespace whit::quant {

struct NormCorrectionArgs {
  double rel_damp = 0.1;
  double share = 1.0;  // of the difference that is aimed at
};

// Factors f of a norm's weight, so that what reads it through w says what the original does:
// argmin over f of the sum of |w (x_t - f x_s)|², x the normed hidden state, damped toward 1.
// w: F32 [N,K] on the device; gram: of x_s; cross: sum of (x_t - x_s) x_sᵀ.
std::vector<double> norm_correction(compute::Backend& backend, tensor::ConstMatrixView w,
                                    const stats::Gram& gram, const stats::CrossGram& cross,
                                    const NormCorrectionArgs& args);

}  // namespace whit::quant
