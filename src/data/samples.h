#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/row_tokens.h"
#include "text/tokenizer.h"

namespace whit::data {

namespace fs = std::filesystem;

// How calibration sequences are cut from a dataset. Lengths are in tokens and count BOS.
struct SampleArgs {
  std::int64_t samples = 128;
  std::int64_t max_length = 2048;  // longer rows give a slice at a seeded random offset
  std::int64_t min_length = 16;    // shorter rows are passed over
  bool pack = false;               // join rows, BOS between them, until max_length is full
  bool bos = true;                 // BOS first where the tokenizer has one
  std::uint64_t seed = 0;
  std::string column = {};  // field of a row; empty: those that content_of knows
  bool from_start = false;  // a long row's first slice is its beginning
  fs::path hub_cache = {};  // where datasets that are no files are looked for
  TextFiles files = {};     // for who makes the ModelText: instead of the model's own
};

// What became of every row.
struct SampleSummary {
  std::int64_t rows = 0;  // in the files; only rows_read of them were needed
  std::int64_t rows_read = 0, rows_used = 0, rows_too_short = 0, rows_cut = 0, tokens = 0;
  std::int64_t rows_empty = 0;       // without content; notes.skipped says why
  std::int64_t longest_row = 0;      // tokens, of the rows read
  std::int64_t samples_missing = 0;  // the dataset held that many fewer than asked for
  RowNotes notes = {};
};

// One set of a dataset.
struct SetSummary {
  std::string name;
  fs::path path;  // what the name stands for
  std::string format;
  std::int64_t files = 0;
  std::int64_t samples = 0;  // given
  SampleSummary summary;
};

struct Samples {
  std::vector<std::vector<text::TokenId>> sequences;
  SampleSummary summary;  // of all sets together
  std::vector<SetSummary> sets = {};
};

// Rows of a dataset, shuffled by the seed, cut, tokenized. `dataset` is a file, a folder, a name,
// or several with shares (see parse_dataset, find_dataset, open_rows); what a row says, see
// content_of. Every row that is long enough gives BOS and one slice of max_length - 1 tokens, a
// shorter one (of min_length or more) itself; where the rows do not suffice, long ones give further
// slices, that do not overlap as long as there are such, and never one twice. A row of input_ids
// and a chat get BOS only where they begin with it. A large plain text is a row for every 256 KiB
// (or more, for a large max_length). Only rows that are used are tokenized. model.tokenizer may be
// null where every row carries input_ids. Ids are checked against `vocabulary`. The same files,
// arguments and seed give the same sequences on every machine. Errors: kInput, subject = file:line
// or file[row]; kInput where no row is long enough; kUsage for lengths that contradict each other
// and for shares; kUnsupported for other kinds of files.
Samples draw_samples(const fs::path& dataset, const SampleArgs& args, const ModelText& model,
                     std::int64_t vocabulary);

// A line for every set: rows, and what became of them.
std::vector<std::string> describe(const Samples& samples);

// Ids of a text to measure perplexity on, at most max_tokens (0: all), without special tokens: a
// plain text whole, the texts of other files joined by an empty line; or their input_ids, or their
// chats as the template writes them, end to end (the first without a BOS of its own). A text is
// tokenized whole even where fewer ids are asked for, since later characters can change earlier
// ids. model.tokenizer may be null where rows carry input_ids. Errors: kInput, as above.
std::vector<text::TokenId> read_eval_ids(const fs::path& file, std::int64_t max_tokens,
                                         const ModelText& model, std::int64_t vocabulary,
                                         const std::string& column = {});

}  // namespace whit::data
