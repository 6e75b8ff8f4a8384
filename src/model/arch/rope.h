#pragma once

#include "model/arch/fields.h"
#include "model/spec.h"

namespace whit::model::arch {

struct Rope {
  RopeSpec spec;
  // DeepSeek multiplies the softmax scale by (0.1 * mscale_all_dim * ln(factor) + 1)²; 1 elsewhere.
  double softmax_factor = 1.0;
};

// Rotary embedding of `dim` columns from rope_theta + rope_scaling (v4) or rope_parameters (v5),
// with `type` or `rope_type` one of default, linear, dynamic, llama3, yarn (arXiv:2309.00071).
// Errors: kUnsupported for another type, kInput for a missing or wrong parameter.
Rope read_rope(const Fields& config, std::int64_t dim, bool interleaved);

}  // namespace whit::model::arch
