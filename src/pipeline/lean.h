#pragma once

#include <cstdint>

#include "pipeline/observer.h"

namespace whit::pipeline {

// How many tokens' worth of its layer's sums an expert adds to its own (quant/shrink.h).
struct Lean {
  std::int64_t gram = 0;    // beside all of its tokens
  std::int64_t taught = 0;  // beside those that the teacher saw too

  bool any() const { return gram > 0 || taught > 0; }
  // The same for half of the expert's tokens.
  Lean half() const { return {gram / 2, taught / 2}; }
};

// The rule for an expert: what a cold one cannot do without (quant::shrink_count), and with `lean`
// one token a column in its Gram and sixteen in what it aims at.
Lean usual_lean(const Sums& own, bool lean);

// An expert's sums with so much of the layer's: moments of the layer's tokens stand in for what the
// expert's own are too few to tell. Both are unchanged.
Sums lean_on(compute::Backend& backend, const Sums& own, const Sums& layer, const Lean& lean);

}  // namespace whit::pipeline
