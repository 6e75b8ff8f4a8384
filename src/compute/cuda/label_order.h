#pragma once

#include "compute/cuda/context.h"

// Vectors sorted by an integer key, and where each cluster's begin.
namespace whit::compute::cuda {

// places() are the numbers 0..count-1 in the order of their keys, of which the lowest `bits` bits
// count; equal keys keep their order. keys() is the sorted list.
class KeyOrder {
 public:
  KeyOrder(const Context& context, const Temporary<std::uint32_t>& keys, int bits);
  const std::uint32_t* keys() const { return sorted_.data(); }
  const std::int32_t* places() const { return places_.data(); }
  std::int64_t count() const { return places_.count(); }

 private:
  Temporary<std::uint32_t> sorted_;
  Temporary<std::int32_t> places_;
};

// first[c] is the first place whose key is not below c, for c in 0..clusters.
void find_clusters(const Context& context, const KeyOrder& order, std::int64_t clusters,
                   std::int32_t* first);

// The number of bits of `value`.
int bits_for(std::int64_t value);

}  // namespace whit::compute::cuda
