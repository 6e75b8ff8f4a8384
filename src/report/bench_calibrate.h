#pragma once

#include "compute/backend.h"
#include "model/spec.h"
#include "model/weights.h"
#include "report/bench.h"
#include "report/bench_forward.h"

namespace whit::report {

// The same forward over random tokens bare and with everything that `whit measure` watches, the two
// in turn, `repeats` times; the best of each counts. The floor of both is the bare one.
BenchTable bench_calibrate(compute::Backend& backend, const model::ModelSpec& spec,
                           model::WeightSource& weights, const ForwardBenchArgs& args, int repeats);

}  // namespace whit::report
