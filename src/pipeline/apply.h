#pragma once

#include <vector>

#include "base/cancel.h"
#include "model/weights.h"
#include "pipeline/pieces.h"

namespace whit::pipeline {

// A linear as it will be served, on the backend's device; `bias` may be null.
struct Applied {
  model::WeightHandle weight, bias;
};

// Multiplies every piece of `stage` by its linears' weights, in their order, and has the results
// consumed. Rows that a plain forward has are multiplied without those that only statistics see,
// because a row's last bits may depend on the rows beside it: a resumed job goes on from the same.
void apply_linears(model::Stage& stage, Pieces& pieces, const std::vector<Applied>& applied,
                   compute::Backend& backend, const base::CancelToken& cancel);

}  // namespace whit::pipeline
