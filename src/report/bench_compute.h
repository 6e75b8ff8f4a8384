#pragma once

#include <cstdint>

#include "compute/backend.h"
#include "report/bench.h"

namespace whit::report {

struct ComputeBenchArgs {
  std::int64_t rows = 2048;    // N of a weight
  std::int64_t cols = 7168;    // K
  std::int64_t tokens = 2048;  // T of a hidden state
  std::int64_t block_size = 128;
  compute::GridArgs grid;
  compute::Limits limits;
  int repeats = 1;  // the least of so many times
};

// The backend's own functions on random inputs, each beside the machine's limit: linear, Gram,
// factor, quadratic form, scale search, the sweep of all column blocks with the products between
// them, attention, and the gated activation (by memory bandwidth). Operations are counted as the
// mathematics needs them: a symmetric product counts once, a causal score only where it is visible.
BenchTable bench_compute(compute::Backend& backend, const ComputeBenchArgs& args);

}  // namespace whit::report
