#include "model/arch.h"

#include <fmt/ranges.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/arch/architectures.h"

namespace whit::model {

namespace {

struct Architecture {
  ArchitectureInfo info;
  ModelSpec (*from_config)(const nlohmann::json&);
};

constexpr std::array kArchitectures{
    Architecture{{"RefinedWeb", "Falcon-40B, as first published"}, &arch::falcon},
    Architecture{{"RefinedWebModel", "Falcon-7B, RW, as first published"}, &arch::falcon},
    Architecture{{"bloom", "BLOOM, BLOOMZ"}, &arch::bloom},
    Architecture{{"deepseek_v2", "DeepSeek-V2, V2-Lite, Coder-V2"}, &arch::deepseek_v2},
    Architecture{{"deepseek_v3", "DeepSeek-V3, R1, V3.1"}, &arch::deepseek_v3},
    Architecture{{"falcon", "Falcon, Falcon-RW"}, &arch::falcon},
    Architecture{{"gemma2", "Gemma 2"}, &arch::gemma2},
    Architecture{{"gemma3_text", "Gemma 3, text"}, &arch::gemma3_text},
    Architecture{{"glm4_moe", "GLM-4.5, 4.5-Air, 4.6"}, &arch::glm4_moe},
    Architecture{{"gpt2", "GPT-2"}, &arch::gpt2},
    Architecture{{"gpt_neox", "GPT-NeoX, Pythia"}, &arch::gpt_neox},
    Architecture{{"gptj", "GPT-J"}, &arch::gptj},
    Architecture{{"granite", "Granite 3"}, &arch::granite},
    Architecture{{"llama", "Llama 2, 3, 3.1, 3.2, 3.3 and their kin"}, &arch::llama},
    Architecture{{"mistral", "Mistral, Mistral-Nemo"}, &arch::mistral},
    Architecture{{"mixtral", "Mixtral"}, &arch::mixtral},
    Architecture{{"olmo2", "OLMo 2"}, &arch::olmo2},
    Architecture{{"opt", "OPT"}, &arch::opt},
    Architecture{{"phi", "Phi-1, Phi-1.5, Phi-2"}, &arch::phi},
    Architecture{{"phi3", "Phi-3, Phi-3.5, Phi-4, Phi-4-mini"}, &arch::phi3},
    Architecture{{"qwen2", "Qwen2, Qwen2.5"}, &arch::qwen2},
    Architecture{{"qwen2_moe", "Qwen1.5-MoE, Qwen2-MoE"}, &arch::qwen2_moe},
    Architecture{{"qwen3", "Qwen3"}, &arch::qwen3},
    Architecture{{"qwen3_moe", "Qwen3-MoE"}, &arch::qwen3_moe},
    Architecture{{"starcoder2", "StarCoder2"}, &arch::starcoder2},
};

}  // namespace

std::vector<ArchitectureInfo> architectures() {
  std::vector<ArchitectureInfo> infos;
  for (const Architecture& architecture : kArchitectures) infos.push_back(architecture.info);
  return infos;
}

std::vector<std::string_view> known_architectures() {
  std::vector<std::string_view> names;
  for (const ArchitectureInfo& info : architectures()) names.push_back(info.model_type);
  return names;
}

ModelSpec spec_from_config(const nlohmann::json& config) {
  const arch::Fields fields(config);
  if (!fields.present("model_type"))
    base::fail(base::ErrorKind::kInput, fields.subject("model_type"),
               "missing; expected the name of an architecture");
  const std::string type = fields.text_or("model_type", "");
  for (const Architecture& architecture : kArchitectures)
    if (architecture.info.model_type == type) return architecture.from_config(config);
  base::fail(base::ErrorKind::kUnsupported, fields.subject("model_type"),
             "found \"{}\"; expected one of: {}", type.substr(0, 80),
             fmt::join(known_architectures(), ", "));
}

}  // namespace whit::model
