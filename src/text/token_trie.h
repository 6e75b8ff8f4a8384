#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/tokenizer.h"

namespace whit::text {

// Finds all tokens that begin at a place of a text.
class TokenTrie {
 public:
  TokenTrie() = default;
  // Of equal tokens the last one's id is kept; empty ones are passed over.
  explicit TokenTrie(const std::vector<std::string>& tokens);

  // Calls visit(length, id) for every token that `text` has at `at`, shorter ones first.
  template <typename Visit>
  void prefixes(std::string_view text, std::size_t at, Visit visit) const {
    if (at >= text.size()) return;
    std::uint32_t node = roots_[static_cast<std::uint8_t>(text[at])];
    for (std::size_t end = at + 1; node != kNone; ++end) {
      if (nodes_[node].id >= 0) visit(end - at, nodes_[node].id);
      if (end == text.size()) return;
      node = child(node, static_cast<std::uint8_t>(text[end]));
    }
  }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Node {
    std::uint32_t children = 0;  // the first of them; they lie side by side
    TokenId id = -1;
    std::uint16_t count = 0;
    std::uint8_t label = 0;
  };

  std::uint32_t child(std::uint32_t node, std::uint8_t label) const {
    const Node& parent = nodes_[node];
    std::uint32_t low = parent.children;
    std::uint32_t high = low + parent.count;
    while (high - low > 8) {
      const std::uint32_t middle = low + (high - low) / 2;
      (nodes_[middle].label <= label ? low : high) = middle;
    }
    for (; low < high; ++low) {
      if (nodes_[low].label == label) return low;
    }
    return kNone;
  }

  std::vector<Node> nodes_;
  std::array<std::uint32_t, 256> roots_ = filled();

  static constexpr std::array<std::uint32_t, 256> filled() {
    std::array<std::uint32_t, 256> roots{};
    roots.fill(kNone);
    return roots;
  }
};

}  // namespace whit::text
