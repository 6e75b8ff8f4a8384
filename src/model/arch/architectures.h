#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "model/arch/fields.h"
#include "model/spec.h"

// One pure function per architecture, from config.json to the inventory.
namespace whit::model::arch {

ModelSpec deepseek_v3(const nlohmann::json& config);
ModelSpec llama(const nlohmann::json& config);

// What most decoders share: vocabulary, embedding, final norm, head and ties under their usual
// names.
ModelSpec decoder_frame(const Fields& config, std::string architecture, float norm_eps);

inline constexpr std::int64_t kMostLayers = 4096;

// rms_norm_eps, 1e-6 where absent. Errors: kInput where it is negative.
float norm_epsilon(const Fields& config);

// Errors: kInput where out or in is beyond Fields::kLargestExtent.
LinearSpec linear(std::string module, Role role, std::int64_t out, std::int64_t in,
                  stats::TapId reads, bool bias = false);
NormSpec norm(std::string module, std::int64_t size, float eps);

// gate_proj, up_proj and down_proj under `module`.
struct MlpShape {
  std::int64_t hidden = 0, inner = 0;
  bool bias = false;
};
MlpSpec gated_mlp(const std::string& module, const MlpShape& shape, stats::TapId in,
                  stats::TapId mid);

}  // namespace whit::model::arch
