#include "model/arch.h"

#include <gtest/gtest.h>

#include <cmath>

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

TEST(Arch, KnowsItsArchitectures) {
  EXPECT_EQ(known_architectures(), (std::vector<std::string_view>{"deepseek_v3", "llama"}));
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
        Refusal{kMoe, R"({"topk_method": "greedy"})", ErrorKind::kUnsupported, "topk_method",
                "greedy"},
        Refusal{kMoe, R"({"scoring_func": "softmax"})", ErrorKind::kUnsupported, "scoring_func",
                "softmax"},
        Refusal{kMoe, R"({"hidden_act": "gelu"})", ErrorKind::kUnsupported, "hidden_act", "gelu"},
        Refusal{kMoe, R"({"num_key_value_heads": 1})", ErrorKind::kUnsupported,
                "num_key_value_heads", "found 1"},
        Refusal{kMoe, R"({"rope_scaling": {"type": "longrope"}})", ErrorKind::kUnsupported,
                "rope_scaling.type", "longrope"},
        Refusal{kMoe, R"({"rope_scaling": {"factor": null}})", ErrorKind::kInput,
                "rope_scaling.factor", "missing"},
        Refusal{kMoe, R"({"rope_scaling": 4})", ErrorKind::kInput, "rope_scaling", "object"},
        Refusal{kDense, R"({"hidden_act": "gelu"})", ErrorKind::kUnsupported, "hidden_act", "gelu"},
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
        Refusal{kDense, R"({"model_type": "gpt_neox"})", ErrorKind::kUnsupported, "model_type",
                "deepseek_v3, llama"},
        Refusal{kDense, R"({"model_type": null})", ErrorKind::kInput, "model_type", "missing"}),
    [](const auto& test) { return std::to_string(test.index); });

}  // namespace
}  // namespace whit::model::testing
