#pragma once

#include "pipeline/measure.h"
#include "pipeline/measure_hessians.h"
#include "report/json.h"

namespace whit::cli {

// output, files, samples, tokens, forward_seconds, spilled, experts, unseen_experts, warnings.
report::Json measurement_to_json(const pipeline::MeasureResult& result);
// files, samples, tokens, forward_seconds, spilled, warnings.
report::Json hessians_to_json(const pipeline::HessianResult& result);

}  // namespace whit::cli
