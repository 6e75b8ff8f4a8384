#pragma once

#include <memory>

#include "compute/cuda/context.h"

// The parts of the CUDA backend. Each keeps a reference to the context.
namespace whit::compute::cuda {

std::unique_ptr<Memory> make_memory(const Context& context);
std::unique_ptr<Linalg> make_linalg(const Context& context);
std::unique_ptr<Neural> make_neural(const Context& context);
std::unique_ptr<Codec> make_codec(const Context& context);
std::unique_ptr<Solve> make_solve(const Context& context);
std::unique_ptr<Gradient> make_gradient(const Context& context);
std::unique_ptr<Vectors> make_vectors(const Context& context);

}  // namespace whit::compute::cuda
