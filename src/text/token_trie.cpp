#include "text/token_trie.h"

#include <algorithm>
#include <numeric>

namespace whit::text {

TokenTrie::TokenTrie(const std::vector<std::string>& tokens) {
  std::vector<std::uint32_t> order(tokens.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return tokens[a] < tokens[b]; });
  // Breadth first, so that the children of a node lie side by side. Tokens of a stretch share
  // their first `depth` bytes; those that end there come first.
  struct Stretch {
    std::size_t begin;
    std::size_t end;
    std::size_t depth;
    std::uint32_t node;
  };
  std::vector<Stretch> level = {{0, order.size(), 0, kNone}};
  std::vector<Stretch> next;
  while (!level.empty()) {
    next.clear();
    for (Stretch stretch : level) {
      while (stretch.begin < stretch.end && tokens[order[stretch.begin]].size() == stretch.depth) {
        if (stretch.node != kNone) {
          nodes_[stretch.node].id = static_cast<TokenId>(order[stretch.begin]);
        }
        ++stretch.begin;
      }
      const auto first = static_cast<std::uint32_t>(nodes_.size());
      for (std::size_t begin = stretch.begin; begin < stretch.end;) {
        const char label = tokens[order[begin]][stretch.depth];
        std::size_t end = begin;
        while (end < stretch.end && tokens[order[end]][stretch.depth] == label) ++end;
        const auto node = static_cast<std::uint32_t>(nodes_.size());
        nodes_.push_back({0, -1, 0, static_cast<std::uint8_t>(label)});
        if (stretch.node == kNone) roots_[static_cast<std::uint8_t>(label)] = node;
        next.push_back({begin, end, stretch.depth + 1, node});
        begin = end;
      }
      if (stretch.node == kNone) continue;
      nodes_[stretch.node].children = first;
      nodes_[stretch.node].count = static_cast<std::uint16_t>(nodes_.size() - first);
    }
    level.swap(next);
  }
}

}  // namespace whit::text
