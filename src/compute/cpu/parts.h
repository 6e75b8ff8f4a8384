#pragma once

#include <memory>

#include "compute/backend.h"

// The parts of the CPU backend: BLAS on fixed tiles, OpenMP over tiles, fixed order of sums.
namespace whit::compute::cpu {

std::unique_ptr<Linalg> make_linalg(int threads);
std::unique_ptr<Neural> make_neural(int threads);
std::unique_ptr<Codec> make_codec(int threads);
std::unique_ptr<Solve> make_solve(int threads);
std::unique_ptr<Gradient> make_gradient(int threads);
std::unique_ptr<Vectors> make_vectors(int threads);

}  // namespace whit::compute::cpu
