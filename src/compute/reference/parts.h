#pragma once

#include <memory>

#include "compute/backend.h"

// The parts of the reference backend: plain loops, sums in double, results rounded once.
namespace whit::compute::reference {

std::unique_ptr<Linalg> make_linalg();
std::unique_ptr<Neural> make_neural();
std::unique_ptr<Codec> make_codec();
std::unique_ptr<Solve> make_solve();
std::unique_ptr<Gradient> make_gradient();
std::unique_ptr<Vectors> make_vectors();

}  // namespace whit::compute::reference
