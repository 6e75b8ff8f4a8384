#pragma once

#include <cstdint>
#include <vector>

#include "model/arch/fields.h"

namespace whit::model::arch {

// One slope a head: powers of 2^(-8/n) for n heads, n a power of two; for other counts the slopes
// of the power of two below, then every second one of twice that power (arXiv:2108.12409 and its
// authors' code). Errors: kInput for more heads than any model has.
std::vector<float> alibi_slopes(const Fields& config, std::int64_t heads);

}  // namespace whit::model::arch
