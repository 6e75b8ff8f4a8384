#pragma once

#include "base/event.h"
#include "compute/backend.h"
#include "pipeline/recipe.h"
#include "pipeline/run.h"
#include "stats/statistic.h"

namespace whit::pipeline {

struct VectorRecord {
  scheme::QuantizedWeight codes;  // VectorCodes
  WeightRecord record;            // but tokens topped up and seconds
  int factor_attempts = 1;
};

// One linear by VPTQ under the recipe. Events, in the order of VPTQ's log: "kmeans" {name,
// codebook, clusters, iterations, inertia, seconds}, "proxy_error" {name, stage, error, base,
// ratio, seconds}.
VectorRecord quantize_to_vectors(compute::Backend& backend, const BoundRecipe& bound,
                                 const model::LinearSpec& linear, tensor::ConstMatrixView weight,
                                 const stats::Gram& gram, base::EventSink& events);

}  // namespace whit::pipeline
