#include "text/word_cache.h"

#include <functional>

namespace whit::text {

WordCache::WordCache() : slots_(kSlots) {}

std::size_t WordCache::slot_of(std::string_view word, std::uint64_t hash) const {
  std::size_t at = hash & (kSlots - 1);
  while (slots_[at].id_count != 0) {
    const Slot& slot = slots_[at];
    if (slot.hash == hash && std::string_view(words_).substr(slot.word, slot.word_size) == word)
      break;
    at = (at + 1) & (kSlots - 1);
  }
  return at;
}

bool WordCache::find(std::string_view word, std::vector<TokenId>& out) const {
  const Slot& slot = slots_[slot_of(word, std::hash<std::string_view>{}(word))];
  if (slot.id_count == 0) return false;
  const auto begin = ids_.begin() + slot.ids;
  out.insert(out.end(), begin, begin + slot.id_count);
  return true;
}

void WordCache::put(std::string_view word, std::span<const TokenId> ids) {
  if (word.size() > kMaxWord || ids.empty()) return;
  if (used_ == kMaxUsed) {
    slots_.assign(kSlots, Slot{});
    words_.clear();
    ids_.clear();
    used_ = 0;
  }
  const std::uint64_t hash = std::hash<std::string_view>{}(word);
  Slot& slot = slots_[slot_of(word, hash)];
  if (slot.id_count != 0) return;
  slot = {hash, static_cast<std::uint32_t>(words_.size()), static_cast<std::uint32_t>(ids_.size()),
          static_cast<std::uint16_t>(word.size()), static_cast<std::uint16_t>(ids.size())};
  words_.append(word);
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  ++used_;
}

}  // namespace whit::text
