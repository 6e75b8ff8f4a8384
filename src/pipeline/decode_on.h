#pragma once

#include "compute/backend.h"
#include "scheme/scheme.h"

namespace whit::pipeline {

// F32 [rows, cols] on the backend's device, wherever the codes are.
tensor::Tensor decode_on(compute::Backend& backend, const scheme::QuantizedWeight& weight);

}  // namespace whit::pipeline
