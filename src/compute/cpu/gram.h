#pragma once

#include "compute/backend.h"

namespace whit::compute::cpu {

// Linalg::gram. Every element is g, plus the sums over 1,024 rows each, in their order: the same
// bits for any number of threads.
void add_gram(int threads, ConstMatrixView x, std::span<const float> row_weights, MatrixView g);

}  // namespace whit::compute::cpu
