#pragma once

#include "checkpoint/checkpoint.h"
#include "formats/inc_scales.h"
#include "pipeline/module_weights.h"
#include "quant/fp8_scale.h"

namespace whit::pipeline {

// A weight's FP8 scales and what they came from.
struct WeightScales {
  formats::IncScale scale;
  double amax = 0;
  std::int64_t zero_channels = 0;
  // What products with it are rounded to under kInc.
  tensor::Dtype product_dtype = tensor::Dtype::kBF16;
};

// Reads the weight once for its maxima, and once more where scales are searched for. `smallest`:
// the least scale that a channel of zeros gets. Errors: those of visit_rows.
WeightScales weight_scales(const checkpoint::Checkpoint& checkpoint, const ModuleWeight& weight,
                           const quant::Fp8ScaleArgs& args, double smallest);

}  // namespace whit::pipeline
