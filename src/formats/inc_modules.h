#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/inc_config.h"
#include "formats/name_matcher.h"
#include "stats/ranges.h"

namespace whit::formats {

// A class that INC patches on Gaudi.
struct IncClass {
  std::string_view name;
  stats::OpType op;
  bool dynamic;  // supports dynamic quantization
};
std::span<const IncClass> inc_classes();

// Which modules a config measures and quantizes. Errors: kInput for a pattern that does not
// compile.
class IncSelection {
 public:
  IncSelection(const IncConfig& config, const std::string& subject);

  // INC's predicate, exactly: a class of the table that is not blocked by its name; both allow
  // lists empty, or its class allowed, or a pattern allowed found in its name; no blocked pattern
  // found in its name; and, for a dynamic config, support for that.
  bool selects(std::string_view module, std::string_view class_name) const;

 private:
  IncModuleList allow_, block_;
  std::vector<NamePattern> allowed_names_, blocked_names_;
  bool dynamic_;
};

// Classes that a measured module can be of, likeliest first: files tell names and shapes only.
// `vllm`: whether the model is vLLM's, not Hugging Face's.
std::vector<std::string> likely_classes(stats::OpType op, std::string_view module, bool vllm);
bool looks_like_vllm(const stats::RankRanges& ranges);

// "PREFIX.w13_list.3": an expert's matrix.
struct ExpertMatrixName {
  std::string moe;   // PREFIX
  std::string list;  // "w13_list"
  std::int64_t expert = 0;
};
std::optional<ExpertMatrixName> parse_expert_matrix(std::string_view module);

// "..._temp_expert_group_3.MoeOp": one of the operations that share a layer's experts. `pattern`
// has a * for the number.
struct ExpertSliceName {
  std::string pattern;
  std::int64_t slice = 0;
};
std::optional<ExpertSliceName> parse_expert_slice(std::string_view module);
std::string slice_name(const std::string& pattern, std::size_t slice);

}  // namespace whit::formats
