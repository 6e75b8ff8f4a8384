#pragma once

#include <string>

#include "tensor/tensor.h"

namespace whit::model {

// Refuses NaN and infinity in a host tensor of F32, BF16, F16 or F8_E4M3; other types have none.
// Errors: kInput, subject = name, with the index of the first such element.
void require_finite(const std::string& name, const tensor::TensorView& host);

}  // namespace whit::model
