#pragma once

#include "data/row_tokens.h"
#include "data/samples.h"

namespace whit::data {

// Sequences from one set of rows, as draw_samples describes them; `samples.files` is left empty.
// Errors: those of rows and tokens.
Samples sample_rows(const RowSource& rows, const SampleArgs& args, const ModelText& model,
                    std::int64_t vocabulary);

}  // namespace whit::data
