#pragma once

#include <memory>

#include "compute/backend.h"

namespace whit::compute::testing {

// A backend whose matrices live on the host and whose work is done by `inner` on its own device:
// what a function reads is uploaded with its stride, what it writes comes back. A write outside of
// the matrices that it was given fails the test.
std::unique_ptr<Backend> make_mirrored(std::unique_ptr<Backend> inner);

}  // namespace whit::compute::testing
