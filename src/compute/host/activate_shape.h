#pragma once

#include "compute/backend.h"

namespace whit::compute::host {

// Throws kBug where the matrices of Neural::activate differ in extents.
void check_activate(ConstMatrixView x, ConstMatrixView times, ConstMatrixView out);

}  // namespace whit::compute::host
