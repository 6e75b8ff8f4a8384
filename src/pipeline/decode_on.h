#pragma once

#include <functional>

#include "compute/backend.h"
#include "scheme/scheme.h"

namespace whit::pipeline {

// F32 [rows, cols] on the backend's device, wherever the codes are.
tensor::Tensor decode_on(compute::Backend& backend, const scheme::QuantizedWeight& weight);

// The same weight with everything on the host, what files are made of: copied on the thread that
// asks for it, once, beside what the backend does next.
std::function<scheme::GroupedInt()> host_copy_later(compute::Backend& backend,
                                                    scheme::GroupedInt weight);

}  // namespace whit::pipeline
