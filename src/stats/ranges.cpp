#include "stats/ranges.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/error.h"

namespace whit::stats {

namespace {

using base::ErrorKind;
using base::fail;

// More experts than any layer has: ranks that would have so many together share each of them.
constexpr std::size_t kMostExperts = 2048;

void merge_range(Range& into, const Range& from, const std::string& name) {
  if (into.size() != from.size())
    fail(ErrorKind::kInput, name, "{} channels on one rank, {} on another; expected as many",
         into.size(), from.size());
  for (std::size_t i = 0; i < into.size(); ++i) into[i] = std::max(into[i], from[i]);
}

void merge_list(std::vector<Range>& into, const std::vector<Range>& from, const char* what,
                const std::string& name) {
  if (into.size() != from.size())
    fail(ErrorKind::kInput, name, "{} {} on one rank, {} on another; expected as many", into.size(),
         what, from.size());
  for (std::size_t i = 0; i < into.size(); ++i) merge_range(into[i], from[i], name);
}

void merge_op(OpRanges& into, const OpRanges& from, const std::string& name) {
  if (into.op != from.op)
    fail(ErrorKind::kInput, name, "{} on one rank, {} on another; expected one operation",
         name_of(into.op), name_of(from.op));
  merge_list(into.inputs, from.inputs, "inputs", name);
  if (!into.outputs)
    into.outputs = from.outputs;
  else if (from.outputs)
    merge_list(*into.outputs, *from.outputs, "outputs", name);
  for (const auto& [param, range] : from.params) {
    const auto [place, added] = into.params.try_emplace(param, range);
    if (!added) merge_range(place->second, range, name);
  }
}

void merge_expert(ExpertRanges& into, const ExpertRanges& from, const std::string& name) {
  if (!into.intermediate)
    into.intermediate = from.intermediate;
  else if (from.intermediate)
    merge_range(*into.intermediate, *from.intermediate, name);
  for (const auto& [list, op] : from.matrices) {
    const auto [place, added] = into.matrices.try_emplace(list, op);
    if (!added) merge_op(place->second, op, name + "." + list);
  }
}

// Hidden states are the same on all ranks and in all slices; of results the largest is kept.
void merge_slices(MoeRanges& into, const MoeRanges& from, const std::string& name) {
  if (into.slices.size() != from.slices.size())
    fail(ErrorKind::kInput, name, "{} slices on one rank, {} on another; expected as many",
         into.slices.size(), from.slices.size());
  for (std::size_t i = 0; i < into.slices.size(); ++i)
    merge_op(into.slices[i], from.slices[i], name);
}

void level_slices(MoeRanges& moe, const std::string& name) {
  for (std::size_t i = 1; i < moe.slices.size(); ++i) merge_op(moe.slices[0], moe.slices[i], name);
  for (std::size_t i = 1; i < moe.slices.size(); ++i) moe.slices[i] = moe.slices[0];
}

void merge_shared(MoeRanges& into, const MoeRanges& from, const std::string& name) {
  merge_slices(into, from, name);
  if (into.experts.size() != from.experts.size())
    fail(ErrorKind::kInput, name, "{} experts on one rank, {} on another; expected as many",
         into.experts.size(), from.experts.size());
  for (std::size_t e = 0; e < into.experts.size(); ++e)
    merge_expert(into.experts[e], from.experts[e], fmt::format("{} expert {}", name, e));
}

// `from` continues the numbers of `into`.
void merge_numbered(MoeRanges& into, MoeRanges from, const std::string& name) {
  merge_slices(into, from, name);
  const auto next = into.first_expert + static_cast<std::int64_t>(into.experts.size());
  if (from.first_expert != next)
    fail(ErrorKind::kInput, name, "expert {} follows on expert {}; expected expert {}",
         from.first_expert, next - 1, next);
  std::move(from.experts.begin(), from.experts.end(), std::back_inserter(into.experts));
}

// Layers whose operation counts every expert on every rank, foreign ones as 0: none has matrices of
// its own, and no expert was reached on two ranks.
std::set<std::string> counting_all_experts(const std::vector<RankRanges>& ranks) {
  std::map<std::string, std::vector<int>> reached;
  std::set<std::string> others;
  for (const auto& rank : ranks)
    for (const auto& [name, moe] : rank.moes) {
      auto& counts = reached[name];
      counts.resize(std::max(counts.size(), moe.experts.size()));
      for (std::size_t e = 0; e < moe.experts.size(); ++e) {
        if (!moe.experts[e].matrices.empty()) others.insert(name);
        const auto& range = moe.experts[e].intermediate;
        counts[e] += range && *std::max_element(range->begin(), range->end()) > 0 ? 1 : 0;
      }
    }
  std::set<std::string> names;
  for (const auto& [name, counts] : reached)
    if (!others.contains(name) &&
        std::all_of(counts.begin(), counts.end(), [](int count) { return count <= 1; }))
      names.insert(name);
  return names;
}

// `shared`: layers whose experts are merged by maximum.
void merge_rank(RankRanges& into, RankRanges from, const std::set<std::string>& shared) {
  for (auto& name : from.order) {
    if (const auto op = from.ops.find(name); op != from.ops.end()) {
      const auto [place, added] = into.ops.try_emplace(name, op->second);
      if (added)
        into.order.push_back(name);
      else
        merge_op(place->second, op->second, name);
      continue;
    }
    auto& moe = from.moes.at(name);
    const auto place = into.moes.find(name);
    if (place == into.moes.end()) {
      into.moes.emplace(name, std::move(moe));
      into.order.push_back(name);
    } else if (shared.contains(name)) {
      merge_shared(place->second, moe, name);
    } else {
      merge_numbered(place->second, std::move(moe), name);
    }
  }
}

std::vector<std::string> incomplete_names(const std::vector<RankRanges>& ranks) {
  std::map<std::string, std::size_t> counts;
  for (const auto& rank : ranks)
    for (const auto& name : rank.order) ++counts[name];
  std::vector<std::string> names;
  for (const auto& [name, count] : counts)
    if (count < ranks.size()) names.push_back(name);
  return names;
}

const Range* weight_of(const ExpertRanges& expert, const std::string& list) {
  const auto matrix = expert.matrices.find(list);
  if (matrix == expert.matrices.end()) return nullptr;
  const auto weight = matrix->second.params.find("weight");
  return weight == matrix->second.params.end() ? nullptr : &weight->second;
}

struct Evidence {
  int equal = 0;
  std::string different;
};

void compare_experts(const std::string& name, const MoeRanges& a, const MoeRanges& b,
                     Evidence& evidence) {
  for (std::size_t e = 0; e < std::min(a.experts.size(), b.experts.size()); ++e)
    for (const auto& [list, op] : a.experts[e].matrices) {
      const Range* one = weight_of(a.experts[e], list);
      const Range* other = weight_of(b.experts[e], list);
      if (one == nullptr || other == nullptr) continue;
      if (*one == *other)
        ++evidence.equal;
      else if (evidence.different.empty())
        evidence.different = fmt::format("{}.{}.{} reaches {} on one rank and {} on another", name,
                                         list, e, one->front(), other->front());
    }
}

}  // namespace

std::string_view name_of(OpType op) {
  constexpr std::array<std::string_view, 8> kNames{
      "linear",  "row_parallel_linear", "matmul",     "b2b_matmul", "kv_cache",
      "softmax", "fused_sdpa",          "dynamic_moe"};
  return kNames.at(static_cast<std::size_t>(op));
}

PlacementFinding find_placement(const std::vector<RankRanges>& ranks) {
  Evidence evidence;
  bool experts = false;
  bool all_counted = true;
  const auto counted = counting_all_experts(ranks);
  for (const auto& rank : ranks)
    for (const auto& [name, moe] : rank.moes) {
      experts = experts || !moe.experts.empty();
      all_counted = all_counted && counted.contains(name);
      if (moe.numbered && moe.first_expert > 0)
        return {ExpertPlacement::kExpert,
                fmt::format("{} numbers its experts from {}", name, moe.first_expert), true};
      const auto first = ranks.front().moes.find(name);
      if (&rank == &ranks.front() || first == ranks.front().moes.end()) continue;
      compare_experts(name, first->second, moe, evidence);
      if (!evidence.different.empty() && moe.experts.size() * ranks.size() > kMostExperts)
        return {ExpertPlacement::kTensor,
                fmt::format("{} ranks of {} experts would be more than any layer has", ranks.size(),
                            moe.experts.size()),
                true};
    }
  if (!experts) return {ExpertPlacement::kTensor, "no experts", false};
  if (!evidence.different.empty()) return {ExpertPlacement::kExpert, evidence.different, true};
  if (evidence.equal > 0)
    return {ExpertPlacement::kTensor, "the experts' weights reach equally far on all ranks", true};
  if (all_counted || ranks.size() < 2)
    return {ExpertPlacement::kTensor, "every rank counts all experts", true};
  fail(ErrorKind::kUsage, "experts",
       "nothing in the measurements tells whether ranks share each expert or hold different ones; "
       "expected --expert-parallel or --tensor-parallel");
}

void number_experts(std::vector<RankRanges>& ranks) {
  std::map<std::string, std::int64_t> next;
  for (auto& rank : ranks)
    for (auto& [name, moe] : rank.moes) {
      if (!moe.numbered) moe.first_expert = next[name];
      moe.numbered = true;
      next[name] = moe.first_expert + static_cast<std::int64_t>(moe.experts.size());
    }
}

std::vector<UnseenExpert> unseen_experts(const RankRanges& rank) {
  std::vector<UnseenExpert> unseen;
  for (const auto& [name, moe] : rank.moes)
    for (std::size_t e = 0; e < moe.experts.size(); ++e) {
      const auto& range = moe.experts[e].intermediate;
      if (range && std::all_of(range->begin(), range->end(), [](double v) { return v == 0; }))
        unseen.push_back({rank.rank, name, moe.first_expert + static_cast<std::int64_t>(e)});
    }
  return unseen;
}

Unified unify(std::vector<RankRanges> ranks, int target, ExpertPlacement placement) {
  const int world = static_cast<int>(ranks.size());
  if (target < 1 || target >= world || world % target != 0)
    fail(ErrorKind::kUsage, "--ranks",
         "{} of {}; expected fewer ranks, of which the present number is a multiple", target,
         world);
  Unified result;
  result.incomplete = incomplete_names(ranks);
  auto shared = counting_all_experts(ranks);
  if (placement == ExpertPlacement::kTensor)
    for (const auto& rank : ranks)
      for (const auto& [name, moe] : rank.moes) shared.insert(name);
  else
    number_experts(ranks);
  const int group = world / target;
  for (int i = 0; i < target; ++i) {
    RankRanges merged = std::move(ranks[static_cast<std::size_t>(i * group)]);
    for (int k = 1; k < group; ++k)
      merge_rank(merged, std::move(ranks[static_cast<std::size_t>(i * group + k)]), shared);
    for (auto& [name, moe] : merged.moes) level_slices(moe, name);
    merged.rank = i;
    merged.world = target;
    for (auto& unseen : unseen_experts(merged)) result.unseen.push_back(std::move(unseen));
    result.ranks.push_back(std::move(merged));
  }
  return result;
}

std::vector<RankRanges> expand(const RankRanges& whole, int world) {
  if (world < 2) fail(ErrorKind::kUsage, "--ranks", "{}; expected 2 or more", world);
  std::vector<RankRanges> ranks;
  for (int k = 0; k < world; ++k) {
    RankRanges rank = whole;
    rank.rank = k;
    rank.world = world;
    for (auto& [name, moe] : rank.moes) {
      const auto experts = static_cast<std::int64_t>(moe.experts.size());
      const auto slices = std::max<std::int64_t>(1, static_cast<std::int64_t>(moe.slices.size()));
      if (experts % (world * slices) != 0)
        fail(ErrorKind::kInput, name, "{} experts; expected a multiple of {} ranks{}", experts,
             world, slices > 1 ? fmt::format(" times {} slices", slices) : "");
      const std::int64_t share = experts / world;
      moe.experts.assign(whole.moes.at(name).experts.begin() + k * share,
                         whole.moes.at(name).experts.begin() + (k + 1) * share);
      moe.first_expert += k * share;
      moe.numbered = true;
    }
    ranks.push_back(std::move(rank));
  }
  return ranks;
}

std::vector<std::string> link_caches(RankRanges& rank) {
  constexpr std::pair<std::string_view, std::string_view> kReaders[] = {
      {"matmul_qk", "k_cache"},
      {"matmul_av", "v_cache"},
      {"matmul_qk", "latent_cache_k"},
      {"matmul_av", "latent_cache_k"}};
  std::vector<std::string> linked;
  for (auto& [name, op] : rank.ops) {
    const std::size_t last = name.find_last_of('.') + 1;  // 0 where there is no dot
    for (const auto& [reader, cache] : kReaders) {
      if (std::string_view(name).substr(last) != reader || op.inputs.size() < 2) continue;
      const auto found = rank.ops.find(name.substr(0, last).append(cache));
      if (found == rank.ops.end() || found->second.inputs.empty()) continue;
      const Range& cached = found->second.inputs.front();
      if (cached.size() != op.inputs[1].size() || cached == op.inputs[1]) continue;
      op.inputs[1] = cached;
      linked.push_back(name);
    }
  }
  return linked;
}

}  // namespace whit::stats
