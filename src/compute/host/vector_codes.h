#pragma once

#include <span>

#include "compute/backend.h"

// What every backend's Vectors shares: the one measure of distance, and checks of extents.
namespace whit::compute::host {

// |x - c|² over `length` entries, products and sums in double precision, in order.
double squared_distance(const float* x, const float* c, std::int64_t length);
// |x - c - r|², the difference in double precision too.
double squared_distance(const float* x, const float* c, const float* r, std::int64_t length);

void check_nearest(ConstMatrixView x, ConstMatrixView centroids,
                   std::span<const std::int32_t> labels, std::span<const double> squares);
// What Vectors::assign returns, of the vectors' squared distances.
inline constexpr std::size_t kSummedVectors = 256;
double weighted_total(std::span<const float> weights, std::span<const double> squares);

void check_labels(std::span<const std::int32_t> labels, std::int64_t clusters);
void check_sums(ConstMatrixView x, std::span<const float> weights,
                std::span<const std::int32_t> labels);
void check_vector_sweep(const VectorSweepArgs& args, ConstMatrixView t0, ConstMatrixView t,
                        MatrixView indices, MatrixView residual_indices, MatrixView error);

}  // namespace whit::compute::host
