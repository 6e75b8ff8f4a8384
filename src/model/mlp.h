#pragma once

#include <span>

#include "compute/backend.h"
#include "model/spec.h"

namespace whit::model {

// mid = what `mlp`'s down reads, from the outputs of its input linears (all rows alike).
void mid_of(compute::Backend& backend, const MlpSpec& mlp, std::span<const tensor::MatrixView> in,
            tensor::MatrixView mid);

// The addresses of a vector of linears, as a stage takes them.
std::vector<const LinearSpec*> pointers_to(const std::vector<LinearSpec>& linears);

}  // namespace whit::model
