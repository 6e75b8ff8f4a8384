#pragma once

#include <vector>

#include "pipeline/recipe.h"

namespace whit::pipeline {

// The part of validate() that is about FP8. Errors: kUsage, kUnsupported (subject: the flag).
void validate_fp8(const Recipe& recipe);

// Fills what --method fp8 leaves to the format: strategy, activations, how scales come of maxima.
void bind_fp8(BoundRecipe& bound, const std::vector<const model::LinearSpec*>& selected);

}  // namespace whit::pipeline
