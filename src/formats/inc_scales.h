#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "formats/inc_tree.h"
#include "stats/ranges.h"

namespace whit::formats {

// The scale of one tensor, or those of its channels. `list`: written as a list though it may be
// one number, as INC writes scales that were searched for. No values: chosen at run time.
struct IncScale {
  std::vector<double> values;
  bool list = false;

  static IncScale one(double value) { return {{value}, false}; }
  bool operator==(const IncScale&) const = default;
};

// A module's scales. `weight_in`: ones for the input channels, which INC writes beside per-channel
// scales and never applies.
struct IncModuleScales {
  std::string module;
  std::vector<IncScale> inputs, outputs;
  std::optional<IncScale> weight, weight_in;
  bool operator==(const IncModuleScales&) const = default;
};

struct IncScaleFile {
  std::optional<std::int64_t> local_rank;
  std::vector<IncModuleScales> modules;
};

IncTree to_tree(const IncScaleFile& file);
// Errors: kInput (subject: `subject` and the module).
IncScaleFile read_scale_file(const IncTree& tree, const std::string& subject);

// Scale files of several ranks as those of fewer: the largest of each scale, and where outputs are
// the product of input and weight, the product of the largest. Experts as `placement` says; those
// that are kept whole are listed one rank after the other. Errors: kUnsupported for per-channel
// weights, whose channels differ between ranks (compute them anew from unified ranges); kInput
// where ranks disagree about counts.
std::vector<IncScaleFile> unify_scales(const std::vector<IncScaleFile>& ranks, int target,
                                       stats::ExpertPlacement placement,
                                       const std::string& subject);

}  // namespace whit::formats
