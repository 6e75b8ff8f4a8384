#include "formats/inc_observed.h"

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
  IncTree::Dict top;
  top.emplace_back("NumSamples", IncTree{samples});
  top.emplace_back("GlobalRank", IncTree{});
  top.emplace_back("LocalRank", local_rank ? IncTree{*local_rank} : IncTree{});
  top.emplace_back("Mode", IncTree{mode});
  top.emplace_back("Nodes", IncTree{std::move(all)});
  return {std::move(top)};
}

}  // namespace whit::formats
