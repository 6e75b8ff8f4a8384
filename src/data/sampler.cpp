#include "data/sampler.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "data/random.h"
#include "data/row_order.h"

namespace whit::data {

namespace {

using text::TokenId;

constexpr std::size_t kKeptTokens = 8 << 20;  // of long rows, for further rounds

// A row with more tokens than one sequence takes, and which of its slices were given.
struct LongRow {
  std::uint64_t row;
  std::set<std::size_t> used;
  std::vector<std::size_t> apart;  // offsets that overlap none of the used; the next is the last
  bool apart_made = false;
};

class Sampler {
 public:
  Sampler(const RowSource& rows, const SampleArgs& args, const ModelText& model,
          std::int64_t vocabulary)
      : args_(args),
        source_(rows, model, vocabulary, args.column, args.bos),
        random_(args.seed),
        order_(rows.count(), random_) {
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
    summary.notes = source_.notes();
    summary.samples_missing = args_.samples - static_cast<std::int64_t>(out_.sequences.size());
    return std::move(out_);
  }

 private:
  bool full() const { return static_cast<std::int64_t>(out_.sequences.size()) >= args_.samples; }
  std::size_t max_length() const { return static_cast<std::size_t>(args_.max_length); }
  std::size_t min_length() const { return static_cast<std::size_t>(args_.min_length); }

  // The row at a position of the order; nullopt where it holds nothing.
  std::optional<RowTokens> read(std::uint64_t position) {
    const auto next_rows = [&] {
      const std::uint64_t end = std::min(order_.count(), position + RowWindow::kRows);
      std::vector<std::uint64_t> rows;
      for (std::uint64_t i = position + 1; i < end; ++i) rows.push_back(order_.at(i));
      return rows;
    };
    std::optional<RowTokens> found = source_.read(order_.at(position), next_rows);
    SampleSummary& summary = out_.summary;
    ++summary.rows_read;
    if (!found) {
      ++summary.rows_empty;
      return found;
    }
    const RowTokens& tokens = *found;
    const auto length = static_cast<std::int64_t>(tokens.ids.size() + (tokens.bos ? 1 : 0));
    summary.longest_row = std::max(summary.longest_row, length);
    return found;
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
    for (std::uint64_t i = 0; i < order_.count() && !full(); ++i) {
      std::optional<RowTokens> found = read(i);
      if (!found) continue;
      RowTokens& tokens = *found;
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
      const std::size_t offset = first_offset(tokens.ids.size() - room + 1);
      emit(tokens, offset, room);
      long_rows_.push_back({order_.at(i), {offset}, {}, false});
      keep(order_.at(i), std::move(tokens));
    }
  }

  std::size_t first_offset(std::size_t offsets) {
    return args_.from_start ? 0 : static_cast<std::size_t>(random_.below(offsets));
  }

  // The long rows from the i-th on whose tokens were not kept.
  std::vector<std::uint64_t> long_rows_after(std::size_t i) const {
    std::vector<std::uint64_t> rows;
    for (++i; i < long_rows_.size() && rows.size() < RowWindow::kRows; ++i) {
      if (!kept_.contains(long_rows_[i].row)) rows.push_back(long_rows_[i].row);
    }
    return rows;
  }

  void next_round() {
    std::vector<LongRow> rest;
    for (std::size_t i = 0; i < long_rows_.size(); ++i) {
      LongRow& row = long_rows_[i];
      if (full()) return;
      const auto found = kept_.find(row.row);
      RowTokens read_again;
      if (found == kept_.end()) {
        read_again = source_.read(row.row, [&] { return long_rows_after(i); }).value();
      }
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

  void keep(std::uint64_t row, RowTokens tokens) {
    if (kept_tokens_ + tokens.ids.size() > kKeptTokens) return;
    kept_tokens_ += tokens.ids.size();
    kept_.emplace(row, std::move(tokens));
  }

  void pack() {
    std::vector<TokenId> sequence;
    for (std::uint64_t i = 0; i < order_.count() && !full(); ++i) {
      const std::optional<RowTokens> found = read(i);
      if (!found) continue;
      const RowTokens& tokens = *found;
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
  RowOrder order_;
  std::vector<LongRow> long_rows_;
  std::unordered_map<std::uint64_t, RowTokens> kept_;
  std::size_t kept_tokens_ = 0;
  Samples out_;
};

}  // namespace

Samples sample_rows(const RowSource& rows, const SampleArgs& args, const ModelText& model,
                    std::int64_t vocabulary) {
  return Sampler(rows, args, model, vocabulary).run();
}

}  // namespace whit::data
