#pragma once

#include <cstdint>

#include "model/spec.h"

namespace whit::pipeline {

// Whether hidden states of `tokens` tokens must live in files for a measuring forward to keep
// within `limit` bytes (0: no limit). Nothing of the result depends on it. Errors: kResource where
// even that is too much, with the least that would do.
bool spills(const model::ModelSpec& spec, std::int64_t tokens, std::uint64_t limit);

}  // namespace whit::pipeline
