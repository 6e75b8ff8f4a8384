#pragma once

#include <cstdint>

#include "compute/backend.h"
#include "model/activations.h"
#include "model/spec.h"
#include "model/weights.h"
#include "report/bench.h"

namespace whit::report {

struct ForwardBenchArgs {
  std::int64_t sequences = 8;
  std::int64_t length = 512;
  double peak_flops = 0;  // the backend's fp32 limit, flop/s
};

// One streamed forward of random tokens, weights read and decoded on the way as in calibration and
// evaluation: the layers, the head, and both in tokens. Operations are those of the linears that a
// token passes and of causal attention.
BenchTable bench_forward(compute::Backend& backend, const model::ModelSpec& spec,
                         model::WeightSource& weights, const ForwardBenchArgs& args);

// Sequences of ids drawn evenly, the same ones for the same arguments.
model::Sequences random_sequences(const model::ModelSpec& spec, const ForwardBenchArgs& args);

// Floating-point operations of one token's layers among `length` tokens (mean over the sequence).
double layer_flops_per_token(const model::ModelSpec& spec, std::int64_t length);

}  // namespace whit::report
