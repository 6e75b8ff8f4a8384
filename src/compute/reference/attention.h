#pragma once

#include "compute/backend.h"

namespace whit::compute::reference {

// Neural::attention, one query and one head at a time.
void attend(const AttentionArgs& args, MatrixView out);

}  // namespace whit::compute::reference
