#pragma once

#include <vector>

#include "pipeline/recipe.h"

namespace whit::pipeline {

// Rounds of better codes and codebooks that a quality has: fast 0, default 8, best 16.
int rounds_of(Quality quality);

// Errors: kUsage, kUnsupported; subject: the flag.
void validate_vptq(const Recipe& recipe);

// The layout of every linear: the one that was asked for, or what `bits` buys.
void bind_vptq(BoundRecipe& bound, const std::vector<const model::LinearSpec*>& selected,
               std::string_view model_dtype);

// Bits on disk of a weight [rows, cols], codebooks, norm and order included, and those of
// everything else that it needs; 16 bits a value.
std::int64_t stored_bits(const scheme::VectorLayout& layout, std::int64_t rows, std::int64_t cols);

// Length and codebooks for weights of these shapes [rows, cols], which share them: of all that need
// at most `bits` a weight together, those with the least expected error, by the rate and the
// lengths' measured distance from Shannon's bound.
scheme::VectorLayout layout_for(double bits,
                                const std::vector<std::pair<std::int64_t, std::int64_t>>& shapes);

}  // namespace whit::pipeline
