#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace whit::text {

// Ids of words met before. Bounded: it is emptied when full.
class WordCache {
 public:
  static constexpr std::size_t kMaxWord = 64;  // bytes; longer words are not kept

  WordCache();
  // The ids of `word`, appended to `out`; false where it is not kept.
  bool find(std::string_view word, std::vector<TokenId>& out) const;
  void put(std::string_view word, std::span<const TokenId> ids);

 private:
  struct Slot {
    std::uint64_t hash = 0;
    std::uint32_t word = 0;  // into words_
    std::uint32_t ids = 0;   // into ids_
    std::uint16_t word_size = 0;
    std::uint16_t id_count = 0;  // 0: empty slot
  };
  static constexpr std::size_t kSlots = 1 << 16;
  static constexpr std::size_t kMaxUsed = kSlots / 2;

  std::size_t slot_of(std::string_view word, std::uint64_t hash) const;

  std::vector<Slot> slots_;
  std::string words_;
  std::vector<TokenId> ids_;
  std::size_t used_ = 0;
};

}  // namespace whit::text
