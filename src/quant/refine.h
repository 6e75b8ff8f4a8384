#pragma once

#include <cstdint>

#include "compute/backend.h"
#include "quant/gptq.h"
#include "scheme/scheme.h"

// Refinements of a quantized weight within its format, on tr(E Hd Eᵀ), E = W - Ŵ, Hd the damped
// Hessian that the sweep minimises under. None lets that error of any row rise. The equations are
// in docs/methods/refine.md.
namespace whit::quant {

// Does what `args` asks for to `weight`, codes and scales of w [N,K]; zero points stay. With both,
// the order is refit, descent, refit. w is the target that the weight was made for; gram and factor
// as for gptq.
// Cost: N K² multiply-adds each for a refit and a descent pass (the sweep has half of that).
// Memory: one F32 [N,K], [N,128] and [128,K], and for a refit at most 64 MiB or what one row takes.
void refine(compute::Backend& backend, tensor::ConstMatrixView w, const stats::Gram& gram,
            const Factor& factor, const RefineArgs& args, scheme::GroupedInt& weight);

}  // namespace whit::quant
