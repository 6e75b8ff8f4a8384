#include "pipeline/measured_maxima.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "formats/inc_measurement.h"
#include "pipeline/inc_nodes.h"
#include "pipeline/plan.h"

namespace whit::pipeline {

using base::ErrorKind;
using base::fail;

namespace {

// What engines call the module that linears of one input become.
constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kFusedNames{
    {{"q_proj", "qkv_proj"},
     {"k_proj", "qkv_proj"},
     {"v_proj", "qkv_proj"},
     {"q_proj", "fused_qkv_a_proj"},
     {"q_a_proj", "fused_qkv_a_proj"},
     {"kv_a_proj_with_mqa", "fused_qkv_a_proj"},
     {"gate_proj", "gate_up_proj"},
     {"up_proj", "gate_up_proj"}}};

float amax_of(const stats::Range& range) {
  return static_cast<float>(*std::max_element(range.begin(), range.end()));
}

std::optional<float> first_input(const stats::OpRanges& op) {
  if (op.inputs.empty()) return std::nullopt;
  return amax_of(op.inputs[0]);
}

stats::RankRanges one_rank(const std::filesystem::path& folder) {
  std::vector<stats::RankRanges> ranks;
  for (auto& measurement : formats::read_measurements(formats::find_measurements(folder, {})))
    ranks.push_back(std::move(measurement.ranges));
  stats::number_experts(ranks);
  if (ranks.size() == 1) return std::move(ranks.front());
  const auto placement = stats::find_placement(ranks).placement;
  return std::move(stats::unify(std::move(ranks), 1, placement).ranks.front());
}

}  // namespace

MeasuredMaxima::MeasuredMaxima(const std::filesystem::path& folder)
    : folder_(folder.string()), ranges_(one_rank(folder)) {
  for (const auto& unseen : stats::unseen_experts(ranges_))
    warnings_.push_back(
        fmt::format("{}: expert {} saw no token when {} was measured; it is scaled "
                    "for what the layer's others read",
                    unseen.moe, unseen.expert, folder_));
}

float MeasuredMaxima::input(const model::LayerSpec& layer, const model::LinearSpec& linear) const {
  std::optional<float> found;
  if (linear.reads.expert >= 0) found = expert_input(layer, linear);
  const std::size_t dot = linear.module.rfind('.');
  std::vector<std::string> names{linear.module};
  for (const auto& [part, whole] : kFusedNames)
    if (linear.module.substr(dot + 1) == part)
      names.push_back(linear.module.substr(0, dot + 1) + std::string(whole));
  if (layer.mtp)
    for (std::size_t i = 0, end = names.size(); i < end; ++i)
      names.push_back(served_name(layer, names[i]));
  for (const std::string& name : names)
    if (const auto op = ranges_.ops.find(name); !found && op != ranges_.ops.end())
      found = first_input(op->second);
  if (!found) {
    base::Error error(ErrorKind::kInput, folder_ + ": " + linear.module,
                      fmt::format("not measured; expected one of {}{}", names.front(),
                                  names.size() > 1 ? ", " + names.back() : ""));
    if (layer.mtp)
      error.suggest(
          "layers that predict further tokens are measured where that is asked for: pass --mtp "
          "keep, or measure with --mtp measure");
    throw error;
  }
  if (*found <= 0)
    fail(ErrorKind::kInput, folder_ + ": " + linear.module,
         "its input's maximum is 0; expected a run that reached it");
  return *found;
}

std::optional<float> MeasuredMaxima::expert_input(const model::LayerSpec& layer,
                                                  const model::LinearSpec& linear) const {
  for (const auto& [name, moe] : ranges_.moes) {
    if (!name.starts_with(layer.prefix) || moe.slices.empty()) continue;
    if (linear.reads.site == stats::Site::kExpertIn) {
      float most = 0;
      for (const auto& slice : moe.slices) most = std::max(most, first_input(slice).value_or(0));
      return most;
    }
    const auto place = static_cast<std::size_t>(linear.reads.expert - moe.first_expert);
    float most = 0;
    for (std::size_t e = 0; e < moe.experts.size(); ++e) {
      const float mid = moe.experts[e].intermediate ? amax_of(*moe.experts[e].intermediate) : 0;
      if (e == place && mid > 0) return mid;
      most = std::max(most, mid);
    }
    return most;
  }
  return std::nullopt;
}

MeasuredMaxima::Cache MeasuredMaxima::cache(const model::LayerSpec& layer) const {
  const std::string attention = served_name(layer, attention_module(layer));
  Cache found;
  for (const auto& [name, op] : ranges_.ops) {
    if (!name.starts_with(attention + ".")) continue;
    const std::string last = name.substr(name.rfind('.') + 1);
    const bool latent = last.starts_with("latent_cache");
    if (last == "k_cache" || latent) found.key = std::max(found.key, first_input(op).value_or(0));
    if (last == "v_cache" || latent)
      found.value = std::max(found.value, first_input(op).value_or(0));
  }
  if (found.key <= 0 || found.value <= 0)
    fail(ErrorKind::kInput, folder_ + ": " + attention,
         "no maxima of its KV cache; expected k_cache and v_cache, or latent_cache_k, above 0");
  return found;
}

}  // namespace whit::pipeline
