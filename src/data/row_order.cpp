#include "data/row_order.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>

namespace whit::data {

namespace {
constexpr std::uint64_t kFirst = 1U << 13;
}  // namespace

RowOrder::RowOrder(std::uint64_t count, Random& random, std::uint64_t whole)
    : count_(count), state_(random.state()) {
  if (count <= whole) {
    rows_.resize(static_cast<std::size_t>(count));
    std::iota(rows_.begin(), rows_.end(), std::uint64_t{0});
    random.shuffle(rows_);
    return;
  }
  for (std::uint64_t size = count; size > 1; --size) {
    const std::uint64_t expected = random.state() + Random::kStep;
    random.below(size);
    std::uint64_t extra = 0;
    for (std::uint64_t state = expected; state != random.state(); state += Random::kStep) ++extra;
    if (extra > 0) thrown_away_.emplace_back(size, extra);
  }
}

std::uint64_t RowOrder::at(std::uint64_t position) {
  if (position >= rows_.size()) {
    trace(std::min(count_, std::max({kFirst, 2 * std::uint64_t{rows_.size()}, position + 1})));
  }
  return rows_[static_cast<std::size_t>(position)];
}

std::uint64_t RowOrder::draw(std::uint64_t size, std::uint64_t extra) const {
  Random at(state_ + Random::kStep * (count_ - size + extra));
  return at.below(size);
}

void RowOrder::trace(std::uint64_t positions) {
  // Backwards: where the item that ends at a place was before each step. The step of `size` swaps
  // place size - 1 with a drawn one, so an item at the drawn place came from size - 1.
  std::unordered_map<std::uint64_t, std::size_t> place_to_slot;
  for (std::uint64_t place = 0; place < positions; ++place) {
    place_to_slot.emplace(place, static_cast<std::size_t>(place));
  }
  std::uint64_t extra = 0;
  for (const auto& [size, count] : thrown_away_) extra += count;
  auto next_thrown = thrown_away_.rbegin();  // smallest size first
  std::vector<std::uint64_t> draws(static_cast<std::size_t>(positions) + 1);
  for (std::uint64_t size = 2; size <= count_; ++size) {
    if (next_thrown != thrown_away_.rend() && next_thrown->first == size) {
      extra -= next_thrown++->second;
    }
    const std::uint64_t drawn = draw(size, extra);
    if (size <= positions) {
      draws[static_cast<std::size_t>(size)] = drawn;
      continue;
    }
    auto moved = place_to_slot.extract(drawn);
    if (moved.empty()) continue;
    moved.key() = size - 1;
    place_to_slot.insert(std::move(moved));
  }
  rows_.resize(static_cast<std::size_t>(positions));
  for (const auto& [row, slot] : place_to_slot) rows_[slot] = row;
  // The last steps, which only move what is now in the first places.
  for (std::size_t size = rows_.size(); size > 1; --size) {
    std::swap(rows_[size - 1], rows_[static_cast<std::size_t>(draws[size])]);
  }
}

}  // namespace whit::data
