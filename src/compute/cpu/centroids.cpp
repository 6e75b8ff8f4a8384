#include "compute/cpu/centroids.h"

#include <algorithm>
#include <cmath>

#include "base/checked.h"
#include "compute/cpu/lanes.h"
#include "compute/host/vector_codes.h"

namespace whit::compute::cpu {

namespace {

constexpr float kMost = std::numeric_limits<float>::max();
constexpr float kNoBound = 1e18F;  // a distance beyond every other
// Codebooks up to so many leaves are scanned whole.
constexpr std::int64_t kScannedLeaves = 32;

// One search on its way.
struct Search {
  const CentroidIndex::Layout& layout;
  ConstMatrixView centroids;
  const float* x;
  double norm;  // |x|²
  float doubt;  // what a score |c|²/2 - x·c may be wrong by
  float wider;  // the same of a ball's, and how it grows with the distance to beat
  float growth;
  Neighbour* found;
  std::size_t wanted;
  std::size_t have = 0;
  float limit = kMost;      // scores up to it may be among the nearest
  float radius = kNoBound;  // the distance of the farthest that was found

  void offer(Neighbour next) {
    if (have == wanted && !next.before(found[have - 1])) return;
    std::size_t at = have < wanted ? have++ : have - 1;
    for (; at > 0 && next.before(found[at - 1]); --at) found[at] = found[at - 1];
    found[at] = next;
    if (have < wanted) return;
    const double worst = found[have - 1].square;
    const double score = (worst - norm) / 2;
    limit = static_cast<float>(score + std::abs(score) * 1e-6) + doubt;
    radius = static_cast<float>(std::sqrt(worst) * (1 + 1e-6));
  }
};

// Compiled without fused operations elsewhere: distances are everywhere the same bits.
void offer_lanes(Search& search, std::int64_t leaf, const float* scores) {
  const std::int32_t* ids = search.layout.ids + leaf * kLanes;
  for (int j = 0; j < kLanes; ++j)
    if (!(scores[j] > search.limit) && ids[j] >= 0)
      search.offer({host::squared_distance(search.x, search.centroids.row<float>(ids[j]),
                                           search.layout.length),
                    ids[j]});
}

WHIT_INLINE bool any(const Ints& mask) {
  using Half = std::int32_t __attribute__((vector_size(32)));
  Half low;
  Half high;
  std::memcpy(&low, &mask, sizeof(low));
  std::memcpy(&high, reinterpret_cast<const char*>(&mask) + sizeof(low), sizeof(high));
  low |= high;
  std::uint64_t words[4];
  std::memcpy(words, &low, sizeof(words));
  return (words[0] | words[1] | words[2] | words[3]) != 0;
}

// first - x·rows, kLength 0: as long as `length` says.
template <int kLength>
WHIT_INLINE void score(const float* rows, const float* x, std::int64_t length, Floats& sum) {
  const std::int64_t count = kLength > 0 ? kLength : length;
  for (std::int64_t d = 0; d < count; ++d) {
    Floats row;
    load(rows + d * kLanes, row);
    sum -= x[d] * row;
  }
}

template <int kLength>
WHIT_INLINE void score_leaf(const Search& search, std::int64_t leaf, Floats& sum) {
  const float* rows = search.layout.leaf + leaf * (1 + search.layout.length) * kLanes;
  load(rows, sum);
  score<kLength>(rows + kLanes, search.x, search.layout.length, sum);
}

template <int kLength>
WHIT_INLINE void scan_leaf(Search& search, std::int64_t leaf) {
  Floats sum;
  score_leaf<kLength>(search, leaf, sum);
  const Ints near = ~(sum > search.limit);
  if (!any(near)) return;
  float scores[kLanes];
  store(sum, scores);
  offer_lanes(search, leaf, scores);
}

// Which of sixteen balls may hold one of the nearest.
template <int kLength>
WHIT_INLINE void near_balls(const Search& search, const float* rows, Ints& near) {
  Floats sum;
  Floats radius;
  load(rows, sum);
  load(rows + kLanes, radius);
  score<kLength>(rows + 2 * kLanes, search.x, search.layout.length, sum);
  sum -= radius * search.radius;
  near = ~(sum > search.limit + (search.wider + search.growth * search.radius));
}

template <int kLength>
WHIT_INLINE void scan_branch(Search& search, std::int64_t branch) {
  const auto& layout = search.layout;
  Ints near;
  near_balls<kLength>(search, layout.bound + branch * (2 + layout.length) * kLanes, near);
  if (!any(near)) return;
  std::int32_t mask[kLanes];
  std::memcpy(mask, &near, sizeof(mask));
  const std::int64_t first = branch * kLanes;
  for (int j = 0; j < kLanes; ++j)
    if (mask[j] != 0 && first + j < layout.leaves) scan_leaf<kLength>(search, first + j);
}

// The branch whose middle is nearest.
template <int kLength>
WHIT_INLINE std::int64_t nearest_branch(const Search& search) {
  const auto& layout = search.layout;
  std::int64_t best = 0;
  float least = kMost;
  for (std::int64_t b = 0; b < layout.branches; b += kLanes) {
    const float* rows = layout.branch + b / kLanes * (2 + layout.length) * kLanes;
    Floats sum;
    Floats radius;
    load(rows, sum);
    load(rows + kLanes, radius);
    sum += radius * radius * 0.5F;
    score<kLength>(rows + 2 * kLanes, search.x, layout.length, sum);
    float scores[kLanes];
    store(sum, scores);
    for (int j = 0; j < kLanes && b + j < layout.branches; ++j)
      if (scores[j] < least) {
        least = scores[j];
        best = b + j;
      }
  }
  return best;
}

template <int kLength>
WHIT_INLINE void scan_all(Search& search) {
  float scores[kScannedLeaves * kLanes];
  Floats least = Floats{} + kMost;
  for (std::int64_t leaf = 0; leaf < search.layout.leaves; ++leaf) {
    Floats sum;
    score_leaf<kLength>(search, leaf, sum);
    least = sum < least ? sum : least;
    store(sum, scores + leaf * kLanes);
  }
  if (search.wanted == 1) {
    const float best = -max_lane(-least);
    search.limit = std::min(search.limit, best + 2 * search.doubt);
  }
  for (std::int64_t leaf = 0; leaf < search.layout.leaves; ++leaf) {
    Floats sum;
    load(scores + leaf * kLanes, sum);
    const Ints near = ~(sum > search.limit);
    if (any(near)) offer_lanes(search, leaf, scores + leaf * kLanes);
  }
}

template <int kLength>
WHIT_INLINE void run(Search& search) {
  const auto& layout = search.layout;
  if (layout.leaves <= kScannedLeaves) return scan_all<kLength>(search);
  std::int64_t first = -1;
  if (search.have < search.wanted) {
    first = nearest_branch<kLength>(search);
    const std::int64_t end = std::min((first + 1) * kLanes, layout.leaves);
    for (std::int64_t leaf = first * kLanes; leaf < end; ++leaf) scan_leaf<kLength>(search, leaf);
  }
  for (std::int64_t b = 0; b < layout.branches; b += kLanes) {
    Ints near;
    near_balls<kLength>(search, layout.branch + b / kLanes * (2 + layout.length) * kLanes, near);
    if (!any(near)) continue;
    std::int32_t mask[kLanes];
    std::memcpy(mask, &near, sizeof(mask));
    for (int j = 0; j < kLanes && b + j < layout.branches; ++j)
      if (mask[j] != 0 && b + j != first) scan_branch<kLength>(search, b + j);
  }
}

WHIT_MULTIVERSION void dispatch(Search& search) {
  switch (search.layout.length) {
    case 2:
      return run<2>(search);
    case 4:
      return run<4>(search);
    case 6:
      return run<6>(search);
    case 8:
      return run<8>(search);
    case 12:
      return run<12>(search);
    case 16:
      return run<16>(search);
    default:
      return run<0>(search);
  }
}

}  // namespace

CentroidIndex::CentroidIndex(ConstMatrixView centroids) : centroids_(centroids) {
  const std::int64_t leaves = base::ceil_div<std::int64_t>(size(), kLanes);
  ids_.resize(static_cast<std::size_t>(size()));
  for (std::size_t i = 0; i < ids_.size(); ++i) ids_[i] = static_cast<std::int32_t>(i);
  if (leaves > kScannedLeaves) order(ids_);
  ids_.resize(static_cast<std::size_t>(leaves * kLanes), -1);
  fill_leaves(ids_);
  const std::int64_t branches = base::ceil_div<std::int64_t>(leaves, kLanes);
  if (leaves > kScannedLeaves) {
    bound_ = balls(kLanes, leaves);
    branch_ = balls(kLanes * kLanes, branches);
  }
  layout_.length = length();
  layout_.leaves = leaves;
  layout_.branches = branches;
  layout_.leaf = leaf_.data();
  layout_.bound = bound_.data();
  layout_.branch = branch_.data();
  layout_.ids = ids_.data();
}

// Halves along the coordinate that varies most, again and again, so that neighbours share leaves.
void CentroidIndex::order(std::vector<std::int32_t>& ids) const {
  struct Range {
    std::int64_t begin, end;
  };
  std::vector<Range> open{{0, size()}};
  while (!open.empty()) {
    const Range range = open.back();
    open.pop_back();
    const std::int64_t count = range.end - range.begin;
    if (count <= kLanes) continue;
    std::int64_t widest = 0;
    double most = -1;
    for (std::int64_t d = 0; d < length(); ++d) {
      double sum = 0;
      double squares = 0;
      for (std::int64_t i = range.begin; i < range.end; ++i) {
        const double value =
            static_cast<double>(centroids_.row<float>(ids[static_cast<std::size_t>(i)])[d]);
        sum += value;
        squares += value * value;
      }
      const double variance = squares - sum * sum / static_cast<double>(count);
      if (variance > most) {
        most = variance;
        widest = d;
      }
    }
    // Whole leaves, and whole branches while there are several.
    const std::int64_t unit = count > kLanes * kLanes ? kLanes * kLanes : kLanes;
    const std::int64_t half = std::max(unit, count / 2 / unit * unit);
    std::nth_element(ids.begin() + range.begin, ids.begin() + range.begin + half,
                     ids.begin() + range.end, [&](std::int32_t a, std::int32_t b) {
                       const float x = centroids_.row<float>(a)[widest];
                       const float y = centroids_.row<float>(b)[widest];
                       return x < y || (x == y && a < b);
                     });
    open.push_back({range.begin, range.begin + half});
    open.push_back({range.begin + half, range.end});
  }
}

void CentroidIndex::fill_leaves(const std::vector<std::int32_t>& ids) {
  const std::int64_t rows = 1 + length();
  leaf_.assign(ids.size() * static_cast<std::size_t>(rows), 0.0F);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    float* column =
        leaf_.data() + i / kLanes * static_cast<std::size_t>(rows * kLanes) + i % kLanes;
    if (ids[i] < 0) {
      column[0] = std::numeric_limits<float>::infinity();
      continue;
    }
    double square = 0;
    for (std::int64_t d = 0; d < length(); ++d) {
      const float value = centroids_.row<float>(ids[i])[d];
      column[(1 + d) * kLanes] = value;
      square += static_cast<double>(value) * static_cast<double>(value);
    }
    column[0] = static_cast<float>(square / 2);
    layout_.largest = std::max(layout_.largest, static_cast<float>(std::sqrt(square) * (1 + 1e-6)));
  }
}

std::vector<float> CentroidIndex::balls(std::int64_t piece, std::int64_t count) const {
  const std::int64_t rows = 2 + length();
  std::vector<float> all(
      static_cast<std::size_t>(base::round_up<std::int64_t>(count, kLanes) * rows), 0.0F);
  std::vector<double> middle(static_cast<std::size_t>(length()));
  std::vector<float> stored(middle.size());
  for (std::int64_t b = 0; b < count; ++b) {
    const std::int64_t begin = b * piece;
    const std::int64_t end = std::min(begin + piece, size());
    std::fill(middle.begin(), middle.end(), 0.0);
    for (std::int64_t i = begin; i < end; ++i)
      for (std::size_t d = 0; d < middle.size(); ++d)
        middle[d] +=
            static_cast<double>(centroids_.row<float>(ids_[static_cast<std::size_t>(i)])[d]);
    float* column = all.data() + b / kLanes * rows * kLanes + b % kLanes;
    double square = 0;
    for (std::size_t d = 0; d < middle.size(); ++d) {
      stored[d] = static_cast<float>(middle[d] / static_cast<double>(end - begin));
      column[(2 + static_cast<std::int64_t>(d)) * kLanes] = stored[d];
      square += static_cast<double>(stored[d]) * static_cast<double>(stored[d]);
    }
    double farthest = 0;
    for (std::int64_t i = begin; i < end; ++i)
      farthest = std::max(
          farthest,
          host::squared_distance(
              stored.data(), centroids_.row<float>(ids_[static_cast<std::size_t>(i)]), length()));
    const float radius = static_cast<float>(std::sqrt(farthest) * (1 + 1e-6));
    column[0] = static_cast<float>((square - static_cast<double>(radius) * radius) / 2);
    column[kLanes] = radius;
  }
  return all;
}

void CentroidIndex::find(const float* x, std::int32_t guess, std::span<Neighbour> found) const {
  double norm = 0;
  for (std::int64_t d = 0; d < length(); ++d)
    norm += static_cast<double>(x[d]) * static_cast<double>(x[d]);
  // An inner product of `length` terms and a few more operations, each wrong by half an ulp.
  const auto unit = static_cast<float>(length() + 4) * 0x1p-23F;
  const auto size_of_x = static_cast<float>(std::sqrt(norm));
  const float largest = layout_.largest;
  const float doubt = unit * largest * (largest + size_of_x) + std::numeric_limits<float>::min();
  Search search{layout_,
                centroids_,
                x,
                norm,
                doubt,
                unit * largest * (4 * largest + size_of_x),
                unit * 4 * largest,
                found.data(),
                found.size()};
  if (guess >= 0 && guess < size())
    search.offer({host::squared_distance(x, centroids_.row<float>(guess), length()), guess});
  dispatch(search);
}

}  // namespace whit::compute::cpu
