#pragma once

#include <cstdint>
#include <vector>

namespace whit::data {

// Where the rows of a file begin. At most `limit` places are kept: where a file has more rows, only
// every 2nd, 4th, ... one, and the rows between are found by reading on from there. So an index
// costs the same for 20 GB as for 1 GB.
class PlaceIndex {
 public:
  struct Place {
    std::uint64_t row = 0;
    std::uint64_t begin = 0;  // byte
    std::uint64_t line = 0;   // from 1
  };

  explicit PlaceIndex(std::size_t limit = 1U << 20) : limit_(limit) {}

  // The next row begins here.
  void add(std::uint64_t begin, std::uint64_t line) {
    if (count_ % stride_ == 0) {
      if (places_.size() == limit_) thin_out();
      if (count_ % stride_ == 0) places_.push_back({count_, begin, line});
    }
    ++count_;
  }
  std::uint64_t count() const { return count_; }
  // The last place kept that is not after `row`, which must be below count().
  const Place& before(std::uint64_t row) const {
    return places_[static_cast<std::size_t>(row / stride_)];
  }

 private:
  void thin_out() {
    for (std::size_t i = 0; 2 * i < places_.size(); ++i) places_[i] = places_[2 * i];
    places_.resize((places_.size() + 1) / 2);
    stride_ *= 2;
  }

  std::size_t limit_;
  std::uint64_t stride_ = 1;
  std::uint64_t count_ = 0;
  std::vector<Place> places_;
};

}  // namespace whit::data
