#pragma once

#include <cstdint>
#include <string_view>

#include "model/arch/fields.h"
#include "model/spec.h"

namespace whit::model::arch {

struct Rope {
  RopeSpec spec;
  // DeepSeek multiplies the softmax scale by (0.1 * mscale_all_dim * ln(factor) + 1)²; 1 elsewhere.
  double softmax_factor = 1.0;
};

// What to read of a config, and what its absence means.
struct RopeShape {
  std::int64_t columns = 0;  // rotated, of a head
  bool interleaved = false;
  bool partial = false;    // `columns` accounts for partial_rotary_factor; else it must be 1
  bool rounds_up = false;  // an odd number of columns turns one more, at the odd one's frequencies
  double theta = 10000;    // where the config states none
  std::string_view theta_key = "rope_theta";  // of v4
  std::string_view layer_type;                // not empty: the object of rope_parameters to read
  bool scaled = true;                         // whether rope_scaling (v4) is meant for these layers
};

// Rotary embedding from rope_theta + rope_scaling (v4) or rope_parameters (v5), with `type` or
// `rope_type` one of default, linear, dynamic, llama3, yarn (arXiv:2309.00071) and longrope
// (arXiv:2402.13753). Errors: kUnsupported for another type, kInput for a missing or wrong
// parameter.
Rope read_rope(const Fields& config, const RopeShape& shape);

// Columns of a head of `head_dim` that partial_rotary_factor, or else the field `older`, leaves to
// rotate.
std::int64_t rotary_columns(const Fields& config, std::int64_t head_dim, double otherwise,
                            std::string_view older = {});

}  // namespace whit::model::arch
