#pragma once

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "model/arch/fields.h"
#include "model/spec.h"

// One pure function per architecture, from config.json to the inventory.
namespace whit::model::arch {

ModelSpec bloom(const nlohmann::json& config);
ModelSpec deepseek_v2(const nlohmann::json& config);
ModelSpec deepseek_v3(const nlohmann::json& config);
ModelSpec falcon(const nlohmann::json& config);
ModelSpec gemma2(const nlohmann::json& config);
ModelSpec gemma3_text(const nlohmann::json& config);
ModelSpec glm4_moe(const nlohmann::json& config);
ModelSpec gpt2(const nlohmann::json& config);
ModelSpec gpt_neox(const nlohmann::json& config);
ModelSpec gptj(const nlohmann::json& config);
ModelSpec granite(const nlohmann::json& config);
ModelSpec llama(const nlohmann::json& config);
ModelSpec mistral(const nlohmann::json& config);
ModelSpec mixtral(const nlohmann::json& config);
ModelSpec olmo2(const nlohmann::json& config);
ModelSpec opt(const nlohmann::json& config);
ModelSpec phi(const nlohmann::json& config);
ModelSpec phi3(const nlohmann::json& config);
ModelSpec qwen2(const nlohmann::json& config);
ModelSpec qwen2_moe(const nlohmann::json& config);
ModelSpec qwen3(const nlohmann::json& config);
ModelSpec qwen3_moe(const nlohmann::json& config);
ModelSpec starcoder2(const nlohmann::json& config);

// Names and extents of what stands around the layers.
struct Frame {
  std::string base = "model.";                  // before every name but the head's
  std::string_view embedding = "embed_tokens";  // below it
  std::int64_t hidden = 0;
  std::int64_t embedding_width = 0;  // 0: hidden
  std::int64_t max_position = 0;
  bool tied = false;  // where the config does not say (tie_word_embeddings)
};
// Vocabulary, embedding, head "lm_head" and ties; norms and layers are the caller's.
ModelSpec framed(const Fields& config, std::string architecture, const Frame& frame);

// One learned row a position; not quantizable.
LinearSpec learned_positions(std::string module, std::int64_t rows, std::int64_t hidden);

// Gives the head its name in the files, and other names that files have given it.
void name_head(ModelSpec& spec, std::string module, std::vector<std::string> aliases);

// What most decoders share: vocabulary, embedding, final norm, head and ties under their usual
// names.
ModelSpec decoder_frame(const Fields& config, std::string architecture, float norm_eps);

// The head is the embedding, where the config does not say otherwise.
void tie_head(ModelSpec& spec);

inline constexpr std::int64_t kMostLayers = 4096;

// "model.layers.INDEX." with input_layernorm before attention and post_attention_layernorm before
// the MLP; the two halves are the caller's.
LayerSpec decoder_layer(int index, std::int64_t hidden, float eps);

// rms_norm_eps (or `key`), `otherwise` where absent. Errors: kInput where it is negative.
float norm_epsilon(const Fields& config, double otherwise = 1e-6,
                   std::string_view key = "rms_norm_eps");

// Errors: kInput where out or in is beyond Fields::kLargestExtent.
LinearSpec linear(std::string module, Role role, std::int64_t out, std::int64_t in,
                  stats::TapId reads, bool bias = false);
NormSpec norm(std::string module, std::int64_t size, float eps);
// LayerNorm with a weight and a bias.
NormSpec layer_norm(const std::string& module, std::int64_t size, float eps);

struct MlpShape {
  std::int64_t hidden = 0, inner = 0;
  bool bias = false;
  compute::Activation activation = compute::Activation::kSilu;
  std::array<std::string_view, 3> names{"gate_proj", "up_proj", "down_proj"};
};
// Three linears under `module`.
MlpSpec gated_mlp(const std::string& module, const MlpShape& shape, stats::TapId in,
                  stats::TapId mid);
// Two linears, up and down by the last two names, and the activation between them.
MlpSpec plain_mlp(const std::string& module, const MlpShape& shape, int layer);

}  // namespace whit::model::arch
