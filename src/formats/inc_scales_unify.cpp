#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "formats/inc_modules.h"
#include "formats/inc_scales.h"
#include "numeric/float_codec.h"

namespace whit::formats {

namespace {

using base::ErrorKind;
using base::fail;
using stats::ExpertPlacement;

void raise(IncScale& into, const IncScale& from, const std::string& subject) {
  if (into.values.size() != from.values.size())
    fail(ErrorKind::kInput, subject, "{} scales on one rank, {} on another; expected as many",
         into.values.size(), from.values.size());
  for (std::size_t i = 0; i < into.values.size(); ++i)
    into.values[i] = std::max(into.values[i], from.values[i]);
}

void raise(std::vector<IncScale>& into, const std::vector<IncScale>& from,
           const std::string& subject) {
  if (into.size() != from.size())
    fail(ErrorKind::kInput, subject, "{} tensors on one rank, {} on another; expected as many",
         into.size(), from.size());
  for (std::size_t i = 0; i < into.size(); ++i) raise(into[i], from[i], subject);
}

// The product of the input's and the weight's scale, exact or rounded to bf16, that an output has.
enum class Product { kNone, kExact, kBF16 };

double rounded(double value) {
  return double{numeric::round_to_bf16(static_cast<float>(value))};
}

Product product_of(const IncModuleScales& scales) {
  const bool single = scales.inputs.size() == 1 && scales.outputs.size() == 1 && scales.weight &&
                      scales.inputs[0].values.size() == 1 && scales.outputs[0].values.size() == 1 &&
                      scales.weight->values.size() == 1;
  if (!single) return Product::kNone;
  const double product = scales.inputs[0].values[0] * scales.weight->values[0];
  if (scales.outputs[0].values[0] == product) return Product::kExact;
  return scales.outputs[0].values[0] == rounded(product) ? Product::kBF16 : Product::kNone;
}

void raise(IncModuleScales& into, const IncModuleScales& from, const std::string& subject) {
  const Product product = std::max(product_of(into), product_of(from));
  const bool is_product = product_of(into) != Product::kNone && product_of(from) != Product::kNone;
  raise(into.inputs, from.inputs, subject);
  raise(into.outputs, from.outputs, subject);
  if (into.weight.has_value() != from.weight.has_value())
    fail(ErrorKind::kInput, subject, "a weight on one rank only; expected it on all");
  if (into.weight) raise(*into.weight, *from.weight, subject);
  if (!is_product) return;
  const double value = into.inputs[0].values[0] * into.weight->values[0];
  into.outputs[0].values[0] = product == Product::kExact ? value : rounded(value);
}

std::set<std::string> expert_ops(const IncScaleFile& file) {
  std::set<std::string> ops;
  for (const auto& scales : file.modules) {
    if (const auto matrix = parse_expert_matrix(scales.module)) ops.insert(matrix->moe);
    if (scales.module.ends_with("moe_op") || scales.module.ends_with("MoeOp"))
      ops.insert(scales.module);
  }
  return ops;
}

void check_supported(const IncScaleFile& file, ExpertPlacement placement,
                     const std::string& subject) {
  for (const auto& scales : file.modules) {
    const std::string place = subject + ": " + scales.module;
    if (scales.weight && (scales.weight_in || scales.weight->values.size() > 1))
      fail(ErrorKind::kUnsupported, place,
           "per-channel scales of a weight, whose channels differ between ranks; expected scales "
           "computed from unified measurements");
    if (placement == ExpertPlacement::kExpert && parse_expert_slice(scales.module))
      fail(ErrorKind::kUnsupported, place,
           "scales of sliced experts; expected scales computed from unified measurements");
  }
}

// Experts per rank, by the operation that serves them.
std::map<std::string, std::int64_t> expert_counts(const IncScaleFile& file) {
  std::map<std::string, std::int64_t> counts;
  for (const auto& scales : file.modules)
    if (const auto matrix = parse_expert_matrix(scales.module))
      counts[matrix->moe] = std::max(counts[matrix->moe], matrix->expert + 1);
  return counts;
}

class Group {
 public:
  Group(IncScaleFile first, ExpertPlacement placement, std::string subject)
      : merged_(std::move(first)), placement_(placement), subject_(std::move(subject)) {
    index();
    counts_ = expert_counts(merged_);
  }

  void add(const IncScaleFile& rank) {
    const auto ops = expert_ops(rank);
    for (const auto& scales : rank.modules) {
      const bool whole = placement_ == ExpertPlacement::kExpert;
      const auto matrix = parse_expert_matrix(scales.module);
      IncModuleScales named = scales;
      if (whole && matrix)
        named.module = fmt::format("{}.{}.{}", matrix->moe, matrix->list,
                                   counts_[matrix->moe] + matrix->expert);
      const auto place = places_.find(named.module);
      if (place == places_.end()) {
        places_[named.module] = merged_.modules.size();
        merged_.modules.push_back(std::move(named));
      } else if (whole && ops.contains(scales.module)) {
        append(merged_.modules[place->second], scales);
      } else {
        raise(merged_.modules[place->second], scales, subject_ + ": " + scales.module);
      }
    }
    for (const auto& [moe, count] : expert_counts(rank)) counts_[moe] += count;
  }
  IncScaleFile take() { return std::move(merged_); }

 private:
  void index() {
    for (std::size_t i = 0; i < merged_.modules.size(); ++i) places_[merged_.modules[i].module] = i;
  }
  // The scale of the hidden states, then one for each expert.
  void append(IncModuleScales& into, const IncModuleScales& from) {
    if (into.inputs.empty() || from.inputs.empty())
      fail(ErrorKind::kInput, subject_ + ": " + into.module, "no inputs; expected hidden states");
    raise(into.inputs[0], from.inputs[0], subject_ + ": " + into.module);
    into.inputs.insert(into.inputs.end(), from.inputs.begin() + 1, from.inputs.end());
    raise(into.outputs, from.outputs, subject_ + ": " + into.module);
  }

  IncScaleFile merged_;
  ExpertPlacement placement_;
  std::string subject_;
  std::map<std::string, std::size_t> places_;
  std::map<std::string, std::int64_t> counts_;
};

}  // namespace

std::vector<IncScaleFile> unify_scales(const std::vector<IncScaleFile>& ranks, int target,
                                       ExpertPlacement placement, const std::string& subject) {
  const int world = static_cast<int>(ranks.size());
  base::check(target > 0 && target < world && world % target == 0, "fewer ranks, evenly");
  for (const auto& rank : ranks) check_supported(rank, placement, subject);
  std::vector<IncScaleFile> unified;
  const auto size = static_cast<std::size_t>(world / target);
  for (int i = 0; i < target; ++i) {
    const std::size_t first = static_cast<std::size_t>(i) * size;
    Group group(ranks[first], placement, subject);
    for (std::size_t k = 1; k < size; ++k) group.add(ranks[first + k]);
    unified.push_back(group.take());
    unified.back().local_rank = target == 1 ? -1 : i;
  }
  return unified;
}

}  // namespace whit::formats
