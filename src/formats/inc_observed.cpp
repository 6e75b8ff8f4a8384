#include "formats/inc_observed.h"

#include <utility>

#include "formats/inc_measurement.h"

namespace whit::formats {

namespace {

IncTree list_of(const std::vector<IncArray>& arrays) {
  IncTree::List list;
  for (const auto& array : arrays) list.push_back({array});
  return {std::move(list)};
}

}  // namespace

IncTree observed_tree(const std::vector<IncObserved>& nodes, const std::string& mode,
                      std::int64_t samples, std::optional<std::int64_t> local_rank) {
  IncTree::Dict all;
  for (const auto& observed : nodes) {
    IncTree::Dict node;
    node.emplace_back("inputs", list_of(observed.inputs));
    if (!observed.outputs.empty()) node.emplace_back("outputs", list_of(observed.outputs));
    if (observed.weight) {
      IncTree::Dict params;
      params.emplace_back("weight", IncTree{*observed.weight});
      node.emplace_back("params", IncTree{std::move(params)});
    }
    all.emplace_back(observed.module, IncTree{std::move(node)});
  }
  return measured_tree(std::move(all), mode, samples, local_rank);
}

}  // namespace whit::formats
