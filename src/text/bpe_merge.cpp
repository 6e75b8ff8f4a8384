// Merging: always the pair of lowest rank, the leftmost among equals.
#include <algorithm>
#include <limits>

#include "text/bpe.h"

namespace whit::text {

namespace {

constexpr std::size_t kScanLimit = 48;  // up to here scanning all ranks beats a heap
constexpr std::uint32_t kNoMerge = std::numeric_limits<std::uint32_t>::max();

void merge_by_scan(const MergeTable& merges, std::vector<TokenId>& ids,
                   std::vector<std::uint32_t>& ranks) {
  const auto rank_at = [&](std::size_t i) {
    const MergeTable::Merge* merge = merges.find(ids[i], ids[i + 1]);
    return merge == nullptr ? kNoMerge : merge->rank;
  };
  ranks.resize(ids.size() - 1);
  for (std::size_t i = 0; i < ranks.size(); ++i) ranks[i] = rank_at(i);
  while (!ranks.empty()) {
    const auto best = std::min_element(ranks.begin(), ranks.end());
    if (*best == kNoMerge) return;
    const auto at = static_cast<std::size_t>(best - ranks.begin());
    ids[at] = merges.find(ids[at], ids[at + 1])->result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    ranks.erase(best);
    if (at > 0) ranks[at - 1] = rank_at(at - 1);
    if (at < ranks.size()) ranks[at] = rank_at(at);
  }
}

// Whether `a` comes out of the heap after `b`.
bool later(const BpeScratch::Candidate& a, const BpeScratch::Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
}

class HeapMerge {
 public:
  HeapMerge(const MergeTable& merges, BpeScratch& scratch) : merges_(merges), scratch_(scratch) {}

  void run() {
    auto& symbols = scratch_.symbols;
    link();
    while (!scratch_.heap.empty()) {
      std::pop_heap(scratch_.heap.begin(), scratch_.heap.end(), later);
      const BpeScratch::Candidate best = scratch_.heap.back();
      scratch_.heap.pop_back();
      BpeScratch::Symbol& left = symbols[best.at];
      if (!left.alive || left.next < 0) continue;
      BpeScratch::Symbol& right = symbols[static_cast<std::size_t>(left.next)];
      const MergeTable::Merge* merge = merges_.find(left.id, right.id);
      // A candidate whose symbols have changed since.
      if (merge == nullptr || merge->result != best.result) continue;
      left.id = best.result;
      left.next = right.next;
      right.alive = false;
      const auto at = static_cast<std::int32_t>(best.at);
      if (left.next >= 0) symbols[static_cast<std::size_t>(left.next)].previous = at;
      if (left.previous >= 0) propose(left.previous);
      propose(at);
    }
    collect();
  }

 private:
  void link() {
    const auto count = static_cast<std::int32_t>(scratch_.ids.size());
    scratch_.symbols.clear();
    scratch_.heap.clear();
    for (std::int32_t i = 0; i < count; ++i) {
      scratch_.symbols.push_back(
          {scratch_.ids[static_cast<std::size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1, true});
    }
    for (std::int32_t i = 0; i + 1 < count; ++i) propose(i);
  }

  void propose(std::int32_t at) {
    const BpeScratch::Symbol& left = scratch_.symbols[static_cast<std::size_t>(at)];
    if (left.next < 0) return;
    const BpeScratch::Symbol& right = scratch_.symbols[static_cast<std::size_t>(left.next)];
    const MergeTable::Merge* merge = merges_.find(left.id, right.id);
    if (merge == nullptr) return;
    scratch_.heap.push_back({merge->rank, static_cast<std::uint32_t>(at), merge->result});
    std::push_heap(scratch_.heap.begin(), scratch_.heap.end(), later);
  }

  void collect() {
    scratch_.ids.clear();
    for (const BpeScratch::Symbol& symbol : scratch_.symbols) {
      if (symbol.alive) scratch_.ids.push_back(symbol.id);
    }
  }

  const MergeTable& merges_;
  BpeScratch& scratch_;
};

}  // namespace

void Bpe::encode(std::string_view word, BpeScratch& scratch, std::vector<TokenId>& out) const {
  if (word.empty()) return;
  if (ignore_merges_) {
    const Vocabulary& words = words_are_bytes_ ? byte_words_ : vocabulary_;
    if (const auto found = words.find(word); found != words.end()) {
      out.push_back(found->second);
      return;
    }
  }
  first_symbols(word, scratch.ids);
  if (scratch.ids.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    base::fail(base::ErrorKind::kInput, "text", "a word of {} bytes; expected less", word.size());
  }
  if (scratch.ids.size() > kScanLimit) {
    HeapMerge(merges_, scratch).run();
  } else if (scratch.ids.size() > 1) {
    merge_by_scan(merges_, scratch.ids, scratch.ranks);
  }
  out.insert(out.end(), scratch.ids.begin(), scratch.ids.end());
}

}  // namespace whit::text
