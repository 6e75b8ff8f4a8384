#pragma once

#include <string_view>

#include "report/bench.h"
#include "text/tokenizer.h"

namespace whit::report {

// Encoding and decoding of `text` on one thread: whole with a cold and a warm word cache, as its
// paragraphs, and a megabyte of one letter, which must not take time quadratic in its length.
// No limit of the machine is known for these. The same in Python:
// scripts/conformance/tokenize_speed.py. Errors: as Tokenizer::encode; kInput where `text` is
// empty.
BenchTable bench_tokenize(const text::Tokenizer& tokenizer, std::string_view text, int repeats);

}  // namespace whit::report
