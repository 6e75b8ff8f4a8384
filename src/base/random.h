#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace whit::base {

// Whit's own generator, so that a seed means the same on every machine and standard library.
// Source: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = state_ += kStep;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }

  // Every number drawn moves the state by kStep, so a generator can be set anywhere in its
  // sequence.
  static constexpr std::uint64_t kStep = 0x9E3779B97F4A7C15ULL;
  std::uint64_t state() const { return state_; }

  // Uniform in [0, bound), without bias: what does not fill a whole range is drawn again.
  std::uint64_t below(std::uint64_t bound) {
    const std::uint64_t reject = (0 - bound) % bound;  // 2^64 mod bound
    std::uint64_t drawn = next();
    while (drawn < reject) drawn = next();
    return drawn % bound;
  }

  // Fisher-Yates, from the last place down.
  template <typename T>
  void shuffle(std::vector<T>& items) {
    for (std::size_t i = items.size(); i > 1; --i) {
      std::swap(items[i - 1], items[static_cast<std::size_t>(below(i))]);
    }
  }

 private:
  std::uint64_t state_;
};

}  // namespace whit::base
