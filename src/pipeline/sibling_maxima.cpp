#include "pipeline/sibling_maxima.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "formats/inc_modules.h"

namespace whit::pipeline {

namespace {

std::string without_numbers(const std::string& name) {
  std::string text;
  for (const char c : name) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit)
      text += c;
    else if (text.empty() || text.back() != '#')
      text += '#';
  }
  return text;
}

// Intermediates of all experts are siblings: one place for them all.
std::string place_of(const std::string& module, const std::string& tensor, bool intermediate) {
  return without_numbers(module) + (intermediate ? " intermediate" : " " + tensor);
}

double largest(const stats::Range& range) {
  return *std::max_element(range.begin(), range.end());
}

}  // namespace

SiblingMaxima::SiblingMaxima(const stats::RankRanges& ranges) {
  const auto add_op = [&](const std::string& module, const stats::OpRanges& op) {
    for (std::size_t i = 0; i < op.inputs.size(); ++i)
      add(module, fmt::format("inputs[{}]", i), op.inputs[i]);
    if (op.outputs)
      for (std::size_t i = 0; i < op.outputs->size(); ++i)
        add(module, fmt::format("outputs[{}]", i), (*op.outputs)[i]);
  };
  for (const auto& [module, op] : ranges.ops) add_op(module, op);
  for (const auto& [name, moe] : ranges.moes) {
    const std::string module = formats::slice_name(name, 0);
    for (const auto& slice : moe.slices) add_op(module, slice);
    for (const auto& expert : moe.experts)
      if (expert.intermediate) {
        double& most = maxima_[place_of(module, "", true)];
        most = std::max(most, largest(*expert.intermediate));
      }
  }
}

void SiblingMaxima::add(const std::string& module, const std::string& tensor,
                        const stats::Range& range) {
  double& most = maxima_[place_of(module, tensor, false)];
  most = std::max(most, largest(range));
}

std::optional<double> SiblingMaxima::of(const std::string& module,
                                        const std::string& tensor) const {
  const auto place = maxima_.find(place_of(module, tensor, false));
  if (place == maxima_.end() || place->second == 0) return std::nullopt;
  return place->second;
}

std::optional<double> SiblingMaxima::of(const std::string& module, const std::string&,
                                        std::span<const stats::ExpertRanges> experts) const {
  double most = 0;
  for (const auto& expert : experts)
    if (expert.intermediate) most = std::max(most, largest(*expert.intermediate));
  if (most > 0) return most;
  const auto place = maxima_.find(place_of(module, "", true));
  if (place == maxima_.end() || place->second == 0) return std::nullopt;
  return place->second;
}

std::vector<std::string> unmeasured_of(const stats::RankRanges& ranges,
                                       const std::vector<std::string>& mod_list) {
  std::set<std::string> measured;
  for (const auto& [module, op] : ranges.ops) measured.insert(module);
  for (const auto& [name, moe] : ranges.moes) {
    const std::size_t slices = std::max<std::size_t>(1, moe.slices.size());
    const std::size_t share = std::max<std::size_t>(1, moe.experts.size() / slices);
    for (std::size_t s = 0; s < moe.slices.size(); ++s)
      measured.insert(formats::slice_name(name, s));
    for (std::size_t e = 0; e < moe.experts.size(); ++e)
      for (const auto& [list, op] : moe.experts[e].matrices)
        measured.insert(
            fmt::format("{}.{}.{}", formats::slice_name(name, e / share), list, e % share));
  }
  std::vector<std::string> names;
  for (const auto& module : mod_list)
    if (!measured.contains(module)) names.push_back(module);
  return names;
}

}  // namespace whit::pipeline
