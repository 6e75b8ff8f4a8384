#pragma once

#include <cstdint>

#include "compute/backend.h"
#include "stats/cross_gram.h"
#include "stats/statistic.h"

// A cold expert has seen too few tokens for its own Gram: its null space would let GPTQ move error
// where real tokens will feel it. It leans on what the whole layer saw.
namespace whit::quant {

// How many tokens' worth of the layer's Gram an expert with `tokens` effective ones gets:
// width * (1 - tokens / (4 width)), rounded, and none from 4 * width on. A Gram of n tokens in K
// dimensions has relative noise of about sqrt(K/n); at 4 K that is what GPTQ's damping covers.
std::int64_t shrink_count(std::int64_t tokens, std::int64_t width);

// A frozen Gram with H = (n He + s Hl) / (n + s), H the mean over tokens: n = own.tokens(),
// s = count > 0 of the layer's. Its tokens() are n + s. Both are unchanged.
// Errors: kBug where widths differ or the layer has seen nothing.
stats::Gram shrink_gram(compute::Backend& backend, const stats::Gram& own, const stats::Gram& layer,
                        std::int64_t count);
// The same of a cross Gram, whose tokens the Gram beside it must share; count may be 0.
stats::CrossGram shrink_cross(compute::Backend& backend, const stats::CrossGram& own,
                              const stats::CrossGram& layer, std::int64_t count);

}  // namespace whit::quant
