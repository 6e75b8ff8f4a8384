#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stats/ranges.h"

namespace whit::pipeline {

// The largest maximum that any tensor of the same place in another layer, or of another expert,
// has: names that differ only in their numbers are siblings.
class SiblingMaxima {
 public:
  explicit SiblingMaxima(const stats::RankRanges& ranges);

  // tensor: "inputs[0]". Nothing where no sibling is above 0.
  std::optional<double> of(const std::string& module, const std::string& tensor) const;
  // Of an expert's intermediate: the other experts of its layer come first.
  std::optional<double> of(const std::string& module, const std::string& tensor,
                           std::span<const stats::ExpertRanges> experts) const;

 private:
  void add(const std::string& module, const std::string& tensor, const stats::Range& range);

  std::map<std::string, double> maxima_;
};

// Names of `mod_list` that were not measured.
std::vector<std::string> unmeasured_of(const stats::RankRanges& ranges,
                                       const std::vector<std::string>& mod_list);

}  // namespace whit::pipeline
