#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace whit::data {

namespace fs = std::filesystem;

// How calibration sequences are cut from a dataset.
struct SampleArgs {
  std::int64_t samples = 128;
  std::int64_t max_length = 2048;   // longer ones are cut at a seeded random offset
  std::int64_t min_length = 16;     // shorter ones are passed over
  bool pack = false;                // join rows until max_length is full
  bool bos = true;                  // BOS first where the tokenizer has one
  std::uint64_t seed = 0;
};

// What became of every row.
struct SampleSummary {
  std::int64_t rows_read = 0, rows_used = 0, rows_too_short = 0, rows_cut = 0, tokens = 0;
};

struct Samples {
  std::vector<std::vector<text::TokenId>> sequences;
  SampleSummary summary;
};

// Rows from JSONL ({"text"} or {"input_ids"}) or plain text, shuffled by the seed, cut, tokenized.
// tokenizer may be null where every row carries input_ids. Ids are checked against `vocabulary`.
// The same file, arguments and seed give the same sequences on every machine.
// Errors: kInput, subject = file:line; kInput where no row is long enough.
Samples draw_samples(const fs::path& file, const SampleArgs& args, const text::Tokenizer* tokenizer,
                     std::int64_t vocabulary);

}  // namespace whit::data
