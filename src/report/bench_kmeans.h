#pragma once

#include <cstdint>
#include <filesystem>

#include "compute/backend.h"
#include "report/bench.h"

namespace whit::report {

struct KMeansBenchArgs {
  std::int64_t vectors = 1'000'000;
  std::int64_t length = 8;
  std::int64_t centroids = 65536;
  std::int64_t passes = 4;  // assignments; a centroid update follows each but the last
  // Little-endian fp32 [vectors, length]; empty: normal numbers. The first `centroids` vectors are
  // where the centroids start.
  std::filesystem::path data;
};

// Lloyd's passes on given or random vectors: each assignment by itself, the updates, the whole. The
// work is what brute force would do. The inertia stands in the note of the last assignment. Errors:
// kInput where the file has another size; kUsage for more centroids than vectors.
BenchTable bench_kmeans(compute::Backend& backend, const KMeansBenchArgs& args);

}  // namespace whit::report
