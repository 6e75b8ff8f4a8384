#pragma once

#include <vector>

#include "compute/host/grid.h"

namespace whit::compute::cpu {

// Working memory of fit_group for groups of `size` weights.
class SearchWork {
 public:
  explicit SearchWork(std::int64_t size);
  std::int64_t padded() const { return static_cast<std::int64_t>(x_.size()); }
  float* x() { return x_.data(); }
  float* weights() { return weights_.data(); }
  float* largest() { return largest_.data(); }

 private:
  std::vector<float> x_;        // the group in units of its widest scale, large values first
  std::vector<float> weights_;  // its column weights, in the same order
  std::vector<float> largest_;  // |x| of every 16
};

// The grid of one group of args.group_size weights (Codec::fit_scales). column_weights: null, or
// one a weight.
host::GroupGrid fit_group(const float* w, const GridArgs& args, const float* column_weights,
                          SearchWork& work);

}  // namespace whit::compute::cpu
