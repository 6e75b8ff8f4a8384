#include "data/samples.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.h"
#include "data/random.h"
#include "data/row_tokens.h"
#include "data/rows.h"

namespace whit::data {

namespace {

using base::ErrorKind;
using base::fail;
using text::TokenId;

constexpr std::uint64_t kBlockBytes = 256 * 1024;
constexpr std::size_t kKeptTokens = 8 << 20;  // of long rows, for further rounds

// A row with more tokens than one sequence takes, and which of its slices were given.
struct LongRow {
  std::size_t row;
  std::set<std::size_t> used;
  std::vector<std::size_t> apart;  // offsets that overlap none of the used; the next is the last
  bool apart_made = false;
};

class Sampler {
 public:
  Sampler(const RowFile& rows, const SampleArgs& args, const text::Tokenizer* tokenizer,
          std::int64_t vocabulary)
      : args_(args), source_(rows, tokenizer, vocabulary, args.bos), random_(args.seed) {
    order_.resize(rows.count());
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    random_.shuffle(order_);
    out_.summary.rows = static_cast<std::int64_t>(rows.count());
  }

  Samples run() {
    if (args_.pack) {
      pack();
    } else {
      first_round();
      while (!full() && !long_rows_.empty()) next_round();
    }
    SampleSummary& summary = out_.summary;
    for (const auto& sequence : out_.sequences) {
      summary.tokens += static_cast<std::int64_t>(sequence.size());
    }
    summary.samples_missing = args_.samples - static_cast<std::int64_t>(out_.sequences.size());
    return std::move(out_);
  }

 private:
  bool full() const { return static_cast<std::int64_t>(out_.sequences.size()) >= args_.samples; }
  std::size_t max_length() const { return static_cast<std::size_t>(args_.max_length); }
  std::size_t min_length() const { return static_cast<std::size_t>(args_.min_length); }

  RowTokens read(std::size_t row) {
    RowTokens tokens = source_.read(row);
    SampleSummary& summary = out_.summary;
    ++summary.rows_read;
    const auto length = static_cast<std::int64_t>(tokens.ids.size() + (tokens.bos ? 1 : 0));
    summary.longest_row = std::max(summary.longest_row, length);
    return tokens;
  }

  void emit(const RowTokens& tokens, std::size_t offset, std::size_t size) {
    std::vector<TokenId> sequence;
    sequence.reserve(size + 1);
    if (tokens.bos) sequence.push_back(*source_.bos());
    const auto begin = tokens.ids.begin() + static_cast<std::ptrdiff_t>(offset);
    sequence.insert(sequence.end(), begin, begin + static_cast<std::ptrdiff_t>(size));
    out_.sequences.push_back(std::move(sequence));
  }

  void first_round() {
    for (std::size_t i = 0; i < order_.size() && !full(); ++i) {
      RowTokens tokens = read(order_[i]);
      const std::size_t room = max_length() - (tokens.bos ? 1 : 0);
      if (tokens.ids.size() + (tokens.bos ? 1 : 0) < min_length()) {
        ++out_.summary.rows_too_short;
        continue;
      }
      ++out_.summary.rows_used;
      if (tokens.ids.size() <= room) {
        emit(tokens, 0, tokens.ids.size());
        continue;
      }
      ++out_.summary.rows_cut;
      const auto offset = static_cast<std::size_t>(random_.below(tokens.ids.size() - room + 1));
      emit(tokens, offset, room);
      long_rows_.push_back({order_[i], {offset}, {}, false});
      keep(order_[i], std::move(tokens));
    }
  }

  void next_round() {
    std::vector<LongRow> rest;
    for (LongRow& row : long_rows_) {
      if (full()) return;
      const auto found = kept_.find(row.row);
      RowTokens read_again;
      if (found == kept_.end()) read_again = source_.read(row.row);
      const RowTokens& tokens = found == kept_.end() ? read_again : found->second;
      const std::size_t room = max_length() - (tokens.bos ? 1 : 0);
      const std::size_t offsets = tokens.ids.size() - room + 1;
      if (row.used.size() == offsets) continue;
      const std::size_t offset = next_offset(row, offsets, room);
      row.used.insert(offset);
      emit(tokens, offset, room);
      rest.push_back(std::move(row));
    }
    long_rows_ = std::move(rest);
  }

  std::size_t next_offset(LongRow& row, std::size_t offsets, std::size_t room) {
    if (!row.apart_made) {
      const std::size_t first = *row.used.begin();
      for (std::size_t at = first % room; at < offsets; at += room) {
        if (at != first) row.apart.push_back(at);
      }
      random_.shuffle(row.apart);
      row.apart_made = true;
    }
    if (!row.apart.empty()) {
      const std::size_t offset = row.apart.back();
      row.apart.pop_back();
      return offset;
    }
    // The k-th of the offsets that were not given yet.
    auto offset = static_cast<std::size_t>(random_.below(offsets - row.used.size()));
    for (const std::size_t used : row.used) {
      if (used > offset) break;
      ++offset;
    }
    return offset;
  }

  void keep(std::size_t row, RowTokens tokens) {
    if (kept_tokens_ + tokens.ids.size() > kKeptTokens) return;
    kept_tokens_ += tokens.ids.size();
    kept_.emplace(row, std::move(tokens));
  }

  void pack() {
    std::vector<TokenId> sequence;
    for (std::size_t i = 0; i < order_.size() && !full(); ++i) {
      const RowTokens tokens = read(order_[i]);
      if (tokens.ids.empty()) {
        ++out_.summary.rows_too_short;
        continue;
      }
      ++out_.summary.rows_used;
      bool cut = false;
      for (std::size_t at = 0; at < tokens.ids.size() && !full();) {
        // BOS opens a row, and a sequence that goes on with one.
        if (tokens.bos && sequence.size() + 1 < max_length()) sequence.push_back(*source_.bos());
        const std::size_t size = std::min(tokens.ids.size() - at, max_length() - sequence.size());
        const auto begin = tokens.ids.begin() + static_cast<std::ptrdiff_t>(at);
        sequence.insert(sequence.end(), begin, begin + static_cast<std::ptrdiff_t>(size));
        at += size;
        if (sequence.size() == max_length()) {
          cut = cut || at < tokens.ids.size();
          out_.sequences.push_back(std::move(sequence));
          sequence.clear();
        }
      }
      if (cut) ++out_.summary.rows_cut;
    }
    if (!full() && sequence.size() >= min_length()) out_.sequences.push_back(std::move(sequence));
  }

  SampleArgs args_;
  RowTokenizer source_;
  Random random_;
  std::vector<std::size_t> order_;
  std::vector<LongRow> long_rows_;
  std::unordered_map<std::size_t, RowTokens> kept_;
  std::size_t kept_tokens_ = 0;
  Samples out_;
};

void check_args(const SampleArgs& args) {
  if (args.samples < 1)
    fail(ErrorKind::kUsage, "--num-calibration-samples", "{}; expected 1 or more", args.samples);
  if (args.max_length < 2 || args.max_length > (std::int64_t{1} << 31)) {
    fail(ErrorKind::kUsage, "--max-sequence-length", "{}; expected 2 to 2^31", args.max_length);
  }
  if (args.min_length < 1 || args.min_length > args.max_length) {
    fail(ErrorKind::kUsage, "--min-length", "{}; expected 1 to the longest length, {}",
         args.min_length, args.max_length);
  }
}

}  // namespace

Samples draw_samples(const fs::path& file, const SampleArgs& args, const text::Tokenizer* tokenizer,
                     std::int64_t vocabulary) {
  check_args(args);
  const auto block = std::max(kBlockBytes, 64 * static_cast<std::uint64_t>(args.max_length));
  const RowFile rows(file, args.column, block);
  Samples samples = Sampler(rows, args, tokenizer, vocabulary).run();
  if (samples.sequences.empty()) {
    fail(ErrorKind::kInput, file.string(),
         "all {} rows are too short: the longest has {} tokens; expected at least {}{}",
         samples.summary.rows_read, samples.summary.longest_row, args.min_length,
         args.pack ? " in all rows together" : "");
  }
  return samples;
}

std::vector<TokenId> read_eval_ids(const fs::path& file, std::int64_t max_tokens,
                                   const text::Tokenizer* tokenizer, std::int64_t vocabulary,
                                   const std::string& column) {
  if (max_tokens < 0) fail(ErrorKind::kUsage, "--max-tokens", "{}; expected 0 or more", max_tokens);
  const RowFile rows(file, column, UINT64_MAX / 4);
  const std::size_t limit = max_tokens == 0 ? SIZE_MAX : static_cast<std::size_t>(max_tokens);
  std::vector<TokenId> ids;
  std::string joined;
  bool any_text = false;
  for (std::size_t row = 0; row < rows.count() && ids.size() < limit; ++row) {
    Row content = rows.read(row);
    if (auto* given = std::get_if<std::vector<TokenId>>(&content.content)) {
      check_ids(*given, vocabulary, rows.name(row));
      ids.insert(ids.end(), given->begin(), given->end());
    } else {
      if (any_text) joined += "\n\n";
      joined += std::get<std::string>(content.content);
      any_text = true;
    }
    if (any_text && !ids.empty()) {
      fail(ErrorKind::kInput, rows.name(row), "texts and input_ids in one file; expected one kind");
    }
  }
  if (any_text) {
    if (tokenizer == nullptr) {
      fail(ErrorKind::kInput, file.string(),
           "texts, and the model has no tokenizer; expected input_ids");
    }
    ids = tokenizer->encode(joined, false);
    check_ids(ids, vocabulary, file.string());
  }
  if (ids.size() > limit) ids.resize(limit);
  if (ids.empty()) fail(ErrorKind::kInput, file.string(), "no tokens; expected some text");
  return ids;
}

}  // namespace whit::data
