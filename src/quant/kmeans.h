#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "compute/backend.h"

namespace whit::quant {

enum class KMeansStart : std::uint8_t {
  kSample,    // vectors drawn without replacement
  kPlusPlus,  // each with a chance in proportion to its weight and square distance from those
              // before
};

struct KMeansArgs {
  std::int64_t clusters = 0;
  std::int64_t iterations = 100;  // at most
  double tolerance = 1e-5;        // stop where the centroids moved by less, squares summed
  double least_gain = 0;          // and where the inertia falls by less than this part of it
  KMeansStart start = KMeansStart::kSample;
  std::uint64_t seed = 0;
};

struct KMeans {
  tensor::Tensor centroids;          // F32 [clusters, V] on the device
  std::vector<std::int32_t> labels;  // of every vector, under these centroids
  double inertia = 0;  // sum of w_i d_i², weights scaled to sum to the vectors' number
  std::int64_t iterations = 0;
  bool converged = false;
};

// Lloyd's algorithm on the rows of x [T,V] (device, finite), weights T or empty for ones. The
// centroid of a cluster is its weighted mean; where a cluster has no weight it stays where it was.
// The same bits for any number of threads. Errors: kUsage where there are more clusters than
// vectors (subject: --num-centroids); kBug for weights below 0.
KMeans kmeans(compute::Backend& backend, tensor::ConstMatrixView x, std::span<const float> weights,
              const KMeansArgs& args);

// One update: the centroids that `labels` ask for. Returns the sum of their squared moves.
double move_centroids(compute::Backend& backend, tensor::ConstMatrixView x,
                      std::span<const float> weights, std::span<const std::int32_t> labels,
                      tensor::Tensor& centroids);

}  // namespace whit::quant
