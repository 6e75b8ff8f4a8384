#include "formats/inc_modules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace whit::formats {

namespace {

using stats::OpType;

constexpr std::array<IncClass, 30> kClasses{{
    {"Linear", OpType::kLinear, true},
    {"FalconLinear", OpType::kLinear, true},
    {"ParallelLMHead", OpType::kLinear, true},
    {"ColumnParallelLinear", OpType::kLinear, true},
    {"MergedColumnParallelLinear", OpType::kLinear, true},
    {"QKVParallelLinear", OpType::kLinear, true},
    {"ReplicatedLinear", OpType::kLinear, true},
    {"MoeMatmul", OpType::kLinear, true},
    {"MoeFP8Matmul", OpType::kLinear, true},
    {"LoRACompatibleLinear", OpType::kLinear, true},
    {"Conv2d", OpType::kLinear, false},
    {"LoRACompatibleConv", OpType::kLinear, false},
    {"GaudiFP8Linear", OpType::kLinear, false},
    {"LinearLayer", OpType::kLinear, true},
    {"LinearAllreduce", OpType::kLinear, true},
    {"ScopedLinearAllReduce", OpType::kLinear, true},
    {"LmHeadLinearAllreduce", OpType::kLinear, true},
    {"RowParallelLinear", OpType::kRowParallelLinear, true},
    {"Matmul", OpType::kMatmul, true},
    {"B2BMatmul", OpType::kBatchMatmul, true},
    {"KVCache", OpType::kKvCache, false},
    {"VLLMKVCache", OpType::kKvCache, true},
    {"Softmax", OpType::kSoftmax, false},
    {"BlockSoftmaxConstMax", OpType::kSoftmax, false},
    {"ModuleFusedSDPA", OpType::kFusedSdpa, false},
    {"VllmMixtureOfExpertsOp", OpType::kMoe, true},
    {"VllmMixtureOfExpertsOpFP8", OpType::kMoe, true},
    {"VllmMixtureOfExpertsOpFP8PerChannel", OpType::kMoe, true},
    {"GaudiMixtralSparseMoeBlock", OpType::kMoe, false},
    {"GaudiDeepseekV3MoE", OpType::kMoe, false},
}};

bool contains(const std::vector<std::string>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

bool found_in(const std::vector<NamePattern>& patterns, std::string_view name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const NamePattern& pattern) { return pattern.matches(name); });
}

std::vector<std::string> linear_classes(std::string_view module, bool vllm) {
  if (parse_expert_matrix(module)) return {"MoeMatmul", "MoeFP8Matmul"};
  if (!vllm) return {"Linear"};
  const auto word = last_word(module);
  if (word == "qkv_proj") return {"QKVParallelLinear"};
  if (word == "gate_up_proj") return {"MergedColumnParallelLinear"};
  if (word == "lm_head") return {"ParallelLMHead"};
  return {"ColumnParallelLinear", "ReplicatedLinear", "MergedColumnParallelLinear"};
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  constexpr std::int64_t kMost = 1'000'000;
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || value < 0 ||
      value > kMost)
    return std::nullopt;
  return value;
}

}  // namespace

std::span<const IncClass> inc_classes() {
  return kClasses;
}

IncSelection::IncSelection(const IncConfig& config, const std::string& subject)
    : allow_(config.allow), block_(config.block), dynamic_(config.dynamic_quantization) {
  const auto compile = [&](const IncModuleList& list, const char* key) {
    std::vector<NamePattern> patterns;
    for (const auto& name : list.names) {
      try {
        patterns.emplace_back(name, base::ErrorKind::kInput, PatternPlace::kAnywhere);
      } catch (base::Error& error) {
        throw error.add_context(fmt::format("in {}: {}: names", subject, key));
      }
    }
    return patterns;
  };
  allowed_names_ = compile(allow_, "allowlist");
  blocked_names_ = compile(block_, "blocklist");
}

bool IncSelection::selects(std::string_view module, std::string_view class_name) const {
  const auto* known = std::find_if(kClasses.begin(), kClasses.end(),
                                   [&](const IncClass& entry) { return entry.name == class_name; });
  if (known == kClasses.end() || contains(block_.types, class_name)) return false;
  const bool allowed = (allow_.names.empty() && allow_.types.empty()) ||
                       contains(allow_.types, class_name) || found_in(allowed_names_, module);
  return allowed && !found_in(blocked_names_, module) && (!dynamic_ || known->dynamic);
}

std::vector<std::string> likely_classes(OpType op, std::string_view module, bool vllm) {
  switch (op) {
    case OpType::kLinear:
      return linear_classes(module, vllm);
    case OpType::kRowParallelLinear:
      return {"RowParallelLinear"};
    case OpType::kMatmul:
      return {"Matmul"};
    case OpType::kBatchMatmul:
      return {"B2BMatmul"};
    case OpType::kKvCache:
      return {vllm ? "VLLMKVCache" : "KVCache"};
    case OpType::kSoftmax:
      return {"Softmax", "BlockSoftmaxConstMax"};
    case OpType::kFusedSdpa:
      return {"ModuleFusedSDPA"};
    case OpType::kMoe:
      if (last_word(module).starts_with("moe_op") || last_word(module).starts_with("MoeOp"))
        return {"VllmMixtureOfExpertsOp", "VllmMixtureOfExpertsOpFP8",
                "VllmMixtureOfExpertsOpFP8PerChannel"};
      return {"GaudiMixtralSparseMoeBlock", "GaudiDeepseekV3MoE"};
  }
  return {};
}

bool looks_like_vllm(const stats::RankRanges& ranges) {
  return std::any_of(ranges.ops.begin(), ranges.ops.end(),
                     [](const auto& entry) {
                       return entry.second.op == OpType::kRowParallelLinear ||
                              entry.first.find(".impl.") != std::string::npos ||
                              entry.first.ends_with(".qkv_proj");
                     }) ||
         std::any_of(ranges.moes.begin(), ranges.moes.end(), [](const auto& entry) {
           return entry.first.ends_with("moe_op") || entry.first.ends_with("MoeOp");
         });
}

std::optional<ExpertMatrixName> parse_expert_matrix(std::string_view module) {
  const auto number = last_word(module);
  const auto expert = whole_number(number);
  if (!expert || number.size() == module.size()) return std::nullopt;
  const auto rest = module.substr(0, module.size() - number.size() - 1);
  const auto list = last_word(rest);
  if ((list != "w13_list" && list != "w2_list") || list.size() == rest.size()) return std::nullopt;
  return ExpertMatrixName{std::string(rest.substr(0, rest.size() - list.size() - 1)),
                          std::string(list), *expert};
}

std::optional<ExpertSliceName> parse_expert_slice(std::string_view module) {
  constexpr std::string_view kWord = "_temp_expert_group_";
  const auto at = module.rfind(kWord);
  if (at == std::string_view::npos) return std::nullopt;
  const auto begin = at + kWord.size();
  const auto end = std::min(module.find('.', begin), module.size());
  const auto slice = whole_number(module.substr(begin, end - begin));
  if (!slice) return std::nullopt;
  return ExpertSliceName{
      std::string(module.substr(0, begin)) + "*" + std::string(module.substr(end)), *slice};
}

std::string slice_name(const std::string& pattern, std::size_t slice) {
  const auto at = pattern.find('*');
  if (at == std::string::npos) return pattern;
  return pattern.substr(0, at) + std::to_string(slice) + pattern.substr(at + 1);
}

}  // namespace whit::formats
