#pragma once

#include <cstdint>
#include <limits>

#include "compute/backend.h"
#include "quant/gptq.h"
#include "report/bench.h"

namespace whit::report {

struct GptqBenchArgs {
  std::int64_t rows = 2048;
  std::int64_t cols = 7168;
  std::int64_t tokens = 8192;
  compute::GridArgs grid;
  quant::FactorArgs factor;
  std::int64_t block_size = 128;
  int repeats = 1;  // the least of so many times
  // The backend's fp32 limit, flop/s, for the floors; NaN: no floors.
  double peak_flops = std::numeric_limits<double>::quiet_NaN();
};

// One GPTQ step on random inputs, part by part: Gram, factor, scale search, sweep, gptq() whole
// with and without its report, plain rounding. The row "step" is what a torch loop's step does:
// factor, scale search and sweep (scripts/conformance/gptq_torch.py). Operations are counted as the
// mathematics needs them: a symmetric product counts once.
BenchTable bench_gptq(compute::Backend& backend, const GptqBenchArgs& args);

}  // namespace whit::report
