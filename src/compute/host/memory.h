#pragma once

#include <memory>

#include "compute/backend.h"

namespace whit::compute::host {

// Memory of backends whose device is the host itself: every "transfer" is a copy.
std::unique_ptr<Memory> make_memory();

}  // namespace whit::compute::host
