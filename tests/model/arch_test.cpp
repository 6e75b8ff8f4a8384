#include "model/arch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "model/configs.h"

namespace whit::model::testing {
namespace {

using base::ErrorKind;
using nlohmann::json;

const RopeSpec& rope_of(const ModelSpec& spec) {
  const LayerSpec& layer = spec.layers.front();
  if (const auto* gqa = std::get_if<GqaSpec>(&layer.attention)) return gqa->rope;
  return std::get<MlaSpec>(layer.attention).rope;
}

TEST(Arch, EveryArchitectureHasATinyModel) {
  std::set<std::string, std::less<>> tested;
  for (const std::string& name : tiny_models()) tested.insert(config_of(name).at("model_type"));
  for (const std::string_view architecture : known_architectures())
    EXPECT_TRUE(tested.contains(architecture)) << architecture;
  const auto known = known_architectures();
  EXPECT_TRUE(std::is_sorted(known.begin(), known.end()));
}

// Numbers of architectures.md section 1, for the published config.
TEST(Arch, DeepSeekV3AsPublished) {
  const ModelSpec spec = spec_from_config(deepseek_v3_config());
  ASSERT_EQ(spec.layers.size(), 61U);
  ASSERT_EQ(spec.mtp_layers.size(), 1U);
  int quantizable = 0;
  for (const LayerSpec& layer : spec.layers)
    for (const LinearSpec* linear : linears_of(layer)) quantizable += linear->quantizable ? 1 : 0;
  EXPECT_EQ(quantizable, 58 * 776 + 3 * 8);
  const auto& mla = std::get<MlaSpec>(spec.layers.front().attention);
  EXPECT_NEAR(mla.scale, 0.1352338, 1e-6);
  EXPECT_DOUBLE_EQ(mla.rope.attention_factor, 1.0);
  // The ramp of YaRN runs from pair 10 to pair 23: untouched before, divided by 40 after.
  for (int i = 0; i < 32; ++i) {
    const double plain = std::pow(10000.0, -2.0 * i / 64.0);
    const double ramp = std::min(std::max((i - 10) / 13.0, 0.0), 1.0);
    EXPECT_NEAR(mla.rope.inv_freq[static_cast<std::size_t>(i)] / plain, ramp / 40 + 1 - ramp, 1e-9)
        << i;
  }
}

// Ratios of architectures.md section 0.2: unscaled to scaled frequency, by pair.
TEST(Arch, Llama3Frequencies) {
  const ModelSpec spec = spec_from_config(llama_3_1_config());
  const std::vector<double>& inv_freq = rope_of(spec).inv_freq;
  const auto ratio = [&](int i) {
    return std::pow(500000.0, -2.0 * i / 128.0) / inv_freq[static_cast<std::size_t>(i)];
  };
  EXPECT_NEAR(ratio(0), 1, 1e-9);
  EXPECT_NEAR(ratio(28), 1, 1e-9);
  EXPECT_NEAR(ratio(29), 1.20748, 1e-5);
  EXPECT_NEAR(ratio(30), 1.55341, 1e-5);
  EXPECT_NEAR(ratio(32), 2.69453, 1e-5);
  EXPECT_NEAR(ratio(34), 5.25733, 1e-5);
  EXPECT_NEAR(ratio(35), 8, 1e-9);
  EXPECT_NEAR(ratio(63), 8, 1e-9);
}

TEST(Arch, RopeOfFourthAndFifthTransformersAreOne) {
  json v4 = llama_3_1_config();
  json v5 = v4;
  v5["rope_parameters"] = v5["rope_scaling"];
  v5["rope_parameters"]["rope_theta"] = v5["rope_theta"];
  v5.erase("rope_scaling");
  v5.erase("rope_theta");
  v4["rope_scaling"]["type"] = v4["rope_scaling"]["rope_type"];
  v4["rope_scaling"].erase("rope_type");
  EXPECT_EQ(rope_of(spec_from_config(v4)).inv_freq, rope_of(spec_from_config(v5)).inv_freq);
}

TEST(Arch, NullMeansAbsentWhereTheFormatSaysSo) {
  json config = llama_3_1_config();
  config["head_dim"] = nullptr;
  config["rope_scaling"] = nullptr;
  config["num_key_value_heads"] = nullptr;
  const ModelSpec spec = spec_from_config(config);
  const auto& gqa = std::get<GqaSpec>(spec.layers.front().attention);
  EXPECT_EQ(gqa.head_dim, 128);
  EXPECT_EQ(gqa.kv_heads, 32);
}

// Published configs, as far as they shape attention; numbers of architectures.md.
TEST(Arch, DeepSeekV2LiteScalesScoresByYarn) {
  json config = config_of("deepseek_v2_lite");
  config.merge_patch(json::parse(R"({"qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
      "max_position_embeddings": 163840, "rope_theta": 10000,
      "rope_scaling": {"factor": 40, "original_max_position_embeddings": 4096}})"));
  const ModelSpec spec = spec_from_config(config);
  EXPECT_NEAR(std::get<MlaSpec>(spec.layers.front().attention).scale, 0.1147214, 1e-7);
}

TEST(Arch, Phi3LongContextAsPublished) {
  json config = config_of("phi3_longrope_short");
  config.merge_patch(json::parse(R"({"hidden_size": 3072, "num_attention_heads": 32,
      "num_key_value_heads": 32, "rope_theta": 10000, "max_position_embeddings": 131072,
      "original_max_position_embeddings": 4096})"));
  for (const char* list : {"short_factor", "long_factor"})
    config["rope_scaling"][list] = std::vector<double>(48, 2.0);
  config["rope_scaling"]["type"] = "su";  // what early configs call it
  const ModelSpec spec = spec_from_config(config);
  const RopeSpec& rope = rope_of(spec);
  EXPECT_NEAR(rope.attention_factor, 1.190238, 1e-6);
  EXPECT_EQ(rope.max_position, 4096);
  EXPECT_NEAR(rope.long_inv_freq[1], 0.5 * std::pow(10000.0, -2.0 / 96), 1e-12);
}

TEST(Arch, Gemma3AlternatesTwoRotaryEmbeddings) {
  const ModelSpec spec = spec_from_config(config_of("gemma3_text_pattern"));
  std::string kinds;
  for (const LayerSpec& layer : spec.layers) {
    const auto& gqa = std::get<GqaSpec>(layer.attention);
    kinds += gqa.window > 0 ? 's' : 'f';
    EXPECT_DOUBLE_EQ(gqa.rope.theta, gqa.window > 0 ? 500.0 : 20000.0);
    EXPECT_DOUBLE_EQ(gqa.rope.inv_freq.front(), gqa.window > 0 ? 1.0 : 0.125);
  }
  EXPECT_EQ(kinds, "ssfs");
}

TEST(Arch, AnAbsentKeyIsNotNull) {
  json config = config_of("mistral_window");
  config.erase("sliding_window");
  const auto window = [](const json& of) {
    return std::get<GqaSpec>(spec_from_config(of).layers.front().attention).window;
  };
  EXPECT_EQ(window(config), 4096);
  config["sliding_window"] = nullptr;
  EXPECT_EQ(window(config), 0);
  json qwen = config_of("qwen3_head_dim_tied");
  qwen.erase("head_dim");
  EXPECT_EQ(std::get<GqaSpec>(spec_from_config(qwen).layers.front().attention).head_dim, 128);
}

TEST(Arch, MixtureLayersFollowFirstDenseAndFrequency) {
  json config = config_of("deepseek_two_mtp");
  config["num_hidden_layers"] = 6;
  config["first_k_dense_replace"] = 1;
  config["moe_layer_freq"] = 2;
  const ModelSpec spec = spec_from_config(config);
  std::string kinds;
  for (const LayerSpec& layer : spec.layers)
    kinds += std::holds_alternative<MoeSpec>(layer.mlp) ? 'm' : 'd';
  EXPECT_EQ(kinds, "ddmdmd");
  EXPECT_EQ(spec.mtp_layers.size(), 2U);
  EXPECT_EQ(spec.mtp_layers.front().index, 6);
  EXPECT_TRUE(std::holds_alternative<MoeSpec>(spec.mtp_layers.back().mlp));
}

struct Refusal {
  const char* base;   // tiny model whose config is changed
  const char* patch;  // merged into it (RFC 7396; null removes)
  ErrorKind kind;
  const char* field;
  const char* detail;
};

class Refuses : public ::testing::TestWithParam<Refusal> {};

TEST_P(Refuses, ByFieldName) {
  const Refusal& refusal = GetParam();
  json config = config_of(refusal.base);
  config.merge_patch(json::parse(refusal.patch));
  const std::string field = refusal.field;
  expect_error(refusal.kind, field.empty() ? "config.json" : "config.json: " + field,
               refusal.detail, [&] { spec_from_config(config); });
}

constexpr const char* kMoe = "deepseek_two_mtp";
constexpr const char* kDense = "llama_gqa_biases";

INSTANTIATE_TEST_SUITE_P(
    Fields, Refuses,
    ::testing::Values(
        Refusal{kMoe, R"({"hidden_size": null})", ErrorKind::kInput, "hidden_size", "missing"},
        Refusal{kMoe, R"({"hidden_size": 84.0})", ErrorKind::kInput, "hidden_size", "84.0"},
        Refusal{kMoe, R"({"hidden_size": "84"})", ErrorKind::kInput, "hidden_size", "whole number"},
        Refusal{kMoe, R"({"hidden_size": -4})", ErrorKind::kInput, "hidden_size", "-4"},
        Refusal{kMoe, R"({"hidden_size": 18446744073709551615})", ErrorKind::kInput, "hidden_size",
                "18446744073709551615"},
        Refusal{kMoe, R"({"rms_norm_eps": "1e-5"})", ErrorKind::kInput, "rms_norm_eps", "number"},
        Refusal{kMoe, R"({"norm_topk_prob": 1})", ErrorKind::kInput, "norm_topk_prob", "true or"},
        Refusal{kMoe, R"({"q_lora_rank": null})", ErrorKind::kInput, "q_lora_rank", "missing"},
        Refusal{kMoe, R"({"num_hidden_layers": 4000000000})", ErrorKind::kInput,
                "num_hidden_layers", "4096"},
        Refusal{kMoe, R"({"num_hidden_layers": 4096, "n_routed_experts": 16384})",
                ErrorKind::kInput, "n_routed_experts", "in all"},
        Refusal{kMoe, R"({"n_group": 3})", ErrorKind::kInput, "n_group", "divisor"},
        Refusal{kMoe, R"({"n_group": 4})", ErrorKind::kInput, "n_group", "in a group"},
        Refusal{kMoe, R"({"num_experts_per_tok": 3})", ErrorKind::kInput, "num_experts_per_tok",
                "at most 2"},
        Refusal{kMoe, R"({"topk_group": 5})", ErrorKind::kInput, "topk_group", "1 to 2"},
        Refusal{"deepseek_v2_lite", R"({"norm_topk_prob": true})", ErrorKind::kUnsupported,
                "norm_topk_prob", "true"},
        Refusal{"deepseek_v2_lite", R"({"topk_method": "noaux_tc"})", ErrorKind::kUnsupported,
                "topk_method", "group_limited_greedy"},
        Refusal{"mistral_window", R"({"attention_bias": true})", ErrorKind::kUnsupported,
                "attention_bias", "true"},
        Refusal{"mistral_window", R"({"layer_types": ["full_attention"]})", ErrorKind::kUnsupported,
                "layer_types", "null"},
        Refusal{"qwen2_window_v5", R"({"layer_types": ["full_attention", "chunked_attention",
                "full_attention"]})",
                ErrorKind::kUnsupported, "layer_types", "chunked"},
        Refusal{"qwen2_window_v5", R"({"layer_types": ["full_attention"]})", ErrorKind::kInput,
                "layer_types", "each of 3"},
        Refusal{"qwen3_window_bias_v5", R"({"use_sliding_window": false})", ErrorKind::kInput,
                "sliding_window", "layer 0 slides"},
        Refusal{"qwen3_window_bias_v5", R"({"rope_parameters": {"full_attention": {}}})",
                ErrorKind::kUnsupported, "rope_parameters.full_attention", "null"},
        Refusal{"qwen3_moe_dense_first", R"({"num_local_experts": 4})", ErrorKind::kInput,
                "num_local_experts", "8, as num_experts says"},
        Refusal{"qwen3_moe_dense_first", R"({"mlp_only_layers": [0.5]})", ErrorKind::kInput,
                "mlp_only_layers", "whole numbers"},
        Refusal{"phi3_longrope_short", R"({"rope_scaling": {"type": "linear", "factor": 2}})",
                ErrorKind::kUnsupported, "rope_scaling.type", "longrope"},
        Refusal{"phi3_longrope_short", R"({"rope_scaling": {"short_factor": [1, 2]}})",
                ErrorKind::kInput, "rope_scaling.short_factor", "expected 7"},
        Refusal{"phi3_longrope_short", R"({"rope_scaling": {"long_factor": [1,1,1,1,1,1,0]}})",
                ErrorKind::kInput, "rope_scaling.long_factor", "positive"},
        Refusal{"phi3_longrope_short", R"({"partial_rotary_factor": 1.5})", ErrorKind::kInput,
                "partial_rotary_factor", "at most 1"},
        Refusal{"gemma2_caps", R"({"use_bidirectional_attention": true})", ErrorKind::kUnsupported,
                "use_bidirectional_attention", "true"},
        Refusal{"gemma2_caps", R"({"attn_logit_softcapping": -50})", ErrorKind::kInput,
                "attn_logit_softcapping", "positive"},
        Refusal{"gemma2_caps", R"({"query_pre_attn_scalar": 0})", ErrorKind::kInput,
                "query_pre_attn_scalar", "positive"},
        Refusal{"gemma3_text_pattern", R"({"attn_logit_softcapping": 50})", ErrorKind::kUnsupported,
                "attn_logit_softcapping", "null"},
        Refusal{"gemma3_text_nested_v5", R"({"rope_parameters": {"rope_theta": 1000}})",
                ErrorKind::kUnsupported, "rope_parameters.rope_theta", "null"},
        Refusal{"glm4_moe_norms_mtp", R"({"n_group": 8, "topk_group": 4})", ErrorKind::kInput,
                "n_group", "in a group"},
        Refusal{"olmo2_post_norms", R"({"clip_qkv": 8.0})", ErrorKind::kUnsupported, "clip_qkv",
                "null"},
        Refusal{"granite_multipliers", R"({"logits_scaling": 0})", ErrorKind::kInput,
                "logits_scaling", "farther"},
        Refusal{kMoe, R"({"topk_method": "greedy"})", ErrorKind::kUnsupported, "topk_method",
                "greedy"},
        Refusal{kMoe, R"({"scoring_func": "softmax"})", ErrorKind::kUnsupported, "scoring_func",
                "softmax"},
        Refusal{kMoe, R"({"hidden_act": "mish"})", ErrorKind::kUnsupported, "hidden_act", "mish"},
        Refusal{kMoe, R"({"num_key_value_heads": 1})", ErrorKind::kUnsupported,
                "num_key_value_heads", "found 1"},
        Refusal{kMoe, R"({"rope_scaling": {"type": "proportional"}})", ErrorKind::kUnsupported,
                "rope_scaling.type", "proportional"},
        Refusal{kMoe, R"({"rope_scaling": {"type": "longrope"}})", ErrorKind::kInput,
                "rope_scaling.long_factor", "missing"},
        Refusal{kMoe, R"({"rope_scaling": {"factor": null}})", ErrorKind::kInput,
                "rope_scaling.factor", "missing"},
        Refusal{kMoe, R"({"rope_scaling": 4})", ErrorKind::kInput, "rope_scaling", "object"},
        Refusal{kDense, R"({"hidden_act": "mish"})", ErrorKind::kUnsupported, "hidden_act", "mish"},
        Refusal{kDense, R"({"num_key_value_heads": 4})", ErrorKind::kInput, "num_key_value_heads",
                "divisor"},
        Refusal{kDense, R"({"head_dim": 11})", ErrorKind::kUnsupported, "head_dim", "even"},
        Refusal{kDense, R"({"head_dim": null, "hidden_size": 85})", ErrorKind::kInput,
                "hidden_size", "multiple of 6"},
        Refusal{kDense, R"({"partial_rotary_factor": 0.5})", ErrorKind::kUnsupported,
                "partial_rotary_factor", "0.5"},
        Refusal{kDense, R"({"rope_parameters": {"rope_type": "dynamic"}})", ErrorKind::kInput,
                "rope_parameters.factor", "missing"},
        Refusal{
            kDense,
            R"({"rope_parameters": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4.0,
                    "high_freq_factor": 1.0}})",
            ErrorKind::kInput, "rope_parameters.high_freq_factor", "more than"},
        Refusal{kDense, R"({"rope_theta": 1e-100})", ErrorKind::kInput, "rope_theta", "finite"},
        Refusal{kDense, R"({"rms_norm_eps": -1})", ErrorKind::kInput, "rms_norm_eps", "0 or more"},
        Refusal{kDense, R"({"rms_norm_eps": 1e300})", ErrorKind::kInput, "rms_norm_eps", "1e+300"},
        Refusal{kDense, R"({"head_dim": 100000})", ErrorKind::kUnsupported, "head_dim", "up to"},
        Refusal{kMoe, R"({"num_attention_heads": 200000000, "num_key_value_heads": 200000000})",
                ErrorKind::kInput, "", "at most"},
        Refusal{kDense, R"({"rope_theta": 0})", ErrorKind::kInput, "rope_theta", "positive"},
        Refusal{kDense, R"({"model_type": "rwkv"})", ErrorKind::kUnsupported, "model_type",
                "deepseek_v3"},
        Refusal{kDense, R"({"model_type": null})", ErrorKind::kInput, "model_type", "missing"}),
    [](const auto& test) { return std::to_string(test.index); });

}  // namespace
}  // namespace whit::model::testing
