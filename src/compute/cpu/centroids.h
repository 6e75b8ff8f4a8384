#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "compute/backend.h"

// A codebook laid out for exact search: sixteen centroids to a leaf, sixteen leaves to a branch,
// each inside a ball. A ball is passed over where the triangle inequality says that nothing in it
// can be among the nearest. Single precision only proposes, with what it may be wrong by added; who
// is near is decided in double precision.
namespace whit::compute::cpu {

struct Neighbour {
  double square = std::numeric_limits<double>::infinity();
  std::int32_t index = -1;
  bool before(const Neighbour& other) const {
    return square < other.square || (square == other.square && index < other.index);
  }
};

class CentroidIndex {
 public:
  explicit CentroidIndex(ConstMatrixView centroids);  // must outlive it

  std::int64_t size() const { return centroids_.rows; }
  std::int64_t length() const { return centroids_.cols; }

  // The found.size() nearest of x in order, at most size(). A guess, where it is an index, must be
  // given for one neighbour only.
  void find(const float* x, std::int32_t guess, std::span<Neighbour> found) const;

  // What the search reads; rows of sixteen floats.
  struct Layout {
    std::int64_t length = 0;
    std::int64_t leaves = 0, branches = 0;
    const float* leaf = nullptr;    // [leaves, 1 + length]: |c|²/2, then the components
    const float* bound = nullptr;   // [branches, 2 + length]: (|m|² - r²)/2, r, components of m,
                                    // sixteen leaves' balls
    const float* branch = nullptr;  // the same of sixteen branches' balls
    const std::int32_t* ids = nullptr;  // [leaves, 16]; -1: none
    float largest = 0;                  // norm of a centroid
  };

 private:
  void order(std::vector<std::int32_t>& ids) const;
  void fill_leaves(const std::vector<std::int32_t>& ids);
  // Balls around consecutive pieces of `size` centroids, sixteen balls to a group.
  std::vector<float> balls(std::int64_t size, std::int64_t count) const;

  ConstMatrixView centroids_;
  std::vector<std::int32_t> ids_;
  std::vector<float> leaf_, bound_, branch_;
  Layout layout_;
};

}  // namespace whit::compute::cpu
