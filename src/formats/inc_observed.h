#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "formats/inc_tree.h"

namespace whit::formats {

// What an observer of INC's that takes no maxima noted of a module.
struct IncObserved {
  std::string module;
  std::vector<IncArray> inputs, outputs;  // no outputs: none were asked for
  std::optional<IncArray> weight;
};

// As INC writes such nodes. `mode`: "DynamicRange", or "Shape" of a config in that mode.
IncTree observed_tree(const std::vector<IncObserved>& nodes, const std::string& mode,
                      std::int64_t samples, std::optional<std::int64_t> local_rank);

}  // namespace whit::formats
