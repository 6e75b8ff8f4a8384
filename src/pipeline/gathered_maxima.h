#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <vector>

#include "compute/backend.h"
#include "stats/ranges.h"

namespace whit::pipeline {

// Largest magnitudes of one tensor, and of how many rows of it.
struct Maxima {
  stats::Range values;  // one, or one a channel; empty: never seen
  std::int64_t rows = 0;

  bool seen() const { return !values.empty(); }
  // The values, or 0 where nothing was seen.
  stats::Range range() const { return seen() ? values : stats::Range{0}; }
};

// Lists of maxima that gather where the tensors are, so that a device need not be waited for
// whenever a tensor passes by.
class GatheredMaxima {
 public:
  using Ranges = std::vector<stats::Range>;
  // Makes of the lists, once they are on the host, what they say of their tensor.
  using Join = std::function<stats::Range(const Ranges&)>;
  using Lists = std::vector<tensor::MatrixView>;

  explicit GatheredMaxima(compute::Backend& backend) : backend_(backend) {}

  struct Description {
    std::string name;  // of the tensor
    Join join;         // null: the only list as it is
  };

  // F32 [1, width] each, for Linalg's largest magnitudes: zeros where `owner` comes for the first
  // time since settle(), who is then described by describe(), else what has gathered. Valid until
  // the next call.
  template <typename Describe>
  const Lists& lists(Maxima* owner, std::initializer_list<std::int64_t> widths,
                     const Describe& describe) {
    const auto [found, added] = entry_of_.emplace(owner, entries_.size());
    if (added) add(owner, widths, describe());
    return checked(entries_[found->second], widths);
  }

  // Whether so much has gathered that it is time for settle().
  bool full() const;

  using Take = std::function<void(Maxima& owner, const std::string& name, stats::Range)>;
  // Calls take with what has gathered for each owner, in the order in which they first came.
  void settle(const Take& take);

 private:
  struct Place {
    std::size_t piece = 0;
    std::int64_t first = 0, width = 0;
  };
  struct Entry {
    Maxima* owner = nullptr;
    Description description;
    Lists lists;
    std::vector<Place> places;
  };

  void add(Maxima* owner, std::initializer_list<std::int64_t> widths, Description description);
  static const Lists& checked(const Entry& entry, std::initializer_list<std::int64_t> widths);
  Place take_place(std::int64_t width);

  compute::Backend& backend_;
  std::vector<tensor::Tensor> pieces_;  // of device memory, lists one after the other
  std::int64_t used_ = 0;               // of the last piece
  std::vector<Entry> entries_;
  std::map<const Maxima*, std::size_t> entry_of_;
};

}  // namespace whit::pipeline
