#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "data/random.h"

namespace whit::data {

// The first rows of a shuffled dataset, as many as are asked for: position i holds what
// Random::shuffle of 0 ... count-1 puts there. Memory grows with the positions asked for, not with
// the rows: the shuffle's draws can be had in any order, and one place is followed back through
// them.
class RowOrder {
 public:
  // `random` draws what a shuffle of `count` items draws. Up to `whole` rows are shuffled at once.
  RowOrder(std::uint64_t count, Random& random, std::uint64_t whole = 1U << 20);

  std::uint64_t count() const { return count_; }
  // The row at a position below count().
  std::uint64_t at(std::uint64_t position);

 private:
  void trace(std::uint64_t positions);
  // The draw of the step that swaps place size - 1, when `extra` draws were thrown away before.
  std::uint64_t draw(std::uint64_t size, std::uint64_t extra) const;

  std::uint64_t count_;
  std::uint64_t state_;  // of the generator before the shuffle
  // Steps in which a draw was thrown away for an even distribution, largest size first.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> thrown_away_;
  std::vector<std::uint64_t> rows_;
};

}  // namespace whit::data
