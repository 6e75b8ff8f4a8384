#pragma once

#include <cstdint>

#include "pipeline/plan.h"

namespace whit::pipeline {

// Fills in how the plan's work fits into memory: whether activations live in a file, how many
// hidden states may be kept, how many experts are handed over at once, and the peak. Nothing here
// changes a bit of the output. Errors: kResource where `limit` bytes are too few, with the least
// that would do.
void plan_memory(Plan& plan, std::uint64_t limit);

}  // namespace whit::pipeline
