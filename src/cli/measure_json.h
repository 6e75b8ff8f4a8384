#pragma once

#include "pipeline/measure.h"
#include "report/json.h"

namespace whit::cli {

// output, files, samples, tokens, forward_seconds, spilled, experts, unseen_experts, warnings.
report::Json measurement_to_json(const pipeline::MeasureResult& result);

}  // namespace whit::cli
