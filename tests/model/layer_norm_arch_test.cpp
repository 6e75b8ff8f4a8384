#include <gtest/gtest.h>

#include <cmath>

#include "model/arch.h"
#include "model/configs.h"

// Decoders with LayerNorm: numbers that papers and configs pin down, and what is refused.
namespace whit::model::testing {
namespace {

using base::ErrorKind;
using nlohmann::json;

const GqaSpec& attention_of(const ModelSpec& spec, std::size_t layer = 0) {
  return std::get<GqaSpec>(spec.layers.at(layer).attention);
}

ModelSpec changed(const char* tiny, const char* patch) {
  json config = config_of(tiny);
  config.merge_patch(json::parse(patch));
  return spec_from_config(config);
}

// arXiv:2108.12409, section 3: 8 heads take 1/2 ... 1/256; other counts borrow from twice as many.
TEST(Alibi, Slopes) {
  const auto slopes = [](int heads, int width) {
    json config = config_of("bloom_hub_names");
    config["num_attention_heads"] = heads;
    config["n_embed"] = width;
    return attention_of(spec_from_config(config)).alibi.slopes;
  };
  EXPECT_EQ(slopes(8, 64), (std::vector<float>{0.5F, 0.25F, 0.125F, 0.0625F, 0.03125F, 0.015625F,
                                               0.0078125F, 0.00390625F}));
  EXPECT_EQ(slopes(6, 60),
            (std::vector<float>{0.25F, 0.0625F, 0.015625F, 0.00390625F, 0.5F, 0.125F}));
  EXPECT_EQ(slopes(1, 60), (std::vector<float>{0.00390625F}));
  const std::vector<float> twelve = slopes(12, 60);
  ASSERT_EQ(twelve.size(), 12U);
  EXPECT_FLOAT_EQ(twelve[8], std::sqrt(0.5F));
  EXPECT_FLOAT_EQ(twelve[11], std::exp2(-3.5F));
}

TEST(Alibi, FalconScalesItAsItScalesScores) {
  const ModelSpec falcon = changed("falcon_alibi_sequential", "{}");
  const GqaSpec& attention = attention_of(falcon);
  EXPECT_FLOAT_EQ(attention.alibi.scale, attention.scale);
  EXPECT_TRUE(attention.alibi.in_bf16);
  EXPECT_EQ(attention.rope.dim, 0);
  EXPECT_EQ(attention_of(changed("bloom_hub_names", "{}")).alibi.scale, 1.0F);
}

TEST(Gpt2, ScalesScoresAsTheConfigSays) {
  const float plain = attention_of(changed("gpt2_hub_names", "{}")).scale;
  EXPECT_FLOAT_EQ(plain, 1.0F / std::sqrt(12.0F));
  const ModelSpec by_layer =
      changed("gpt2_hub_names", R"({"scale_attn_by_inverse_layer_idx": true})");
  EXPECT_FLOAT_EQ(attention_of(by_layer, 2).scale, plain / 3);
  const ModelSpec none = changed("gpt2_hub_names", R"({"scale_attn_weights": false})");
  EXPECT_EQ(attention_of(none).scale, 1.0F);
}

TEST(Falcon, VariantsShapeTheFusedLinear) {
  const ModelSpec one_key = changed("falcon_old_names", "{}");
  EXPECT_EQ(attention_of(one_key).qkv.front().out_features, (7 + 2) * 12);
  EXPECT_FALSE(one_key.layers.front().mlp_norm.has_value());
  const ModelSpec groups = changed("falcon_groups_two_norms_v5", "{}");
  EXPECT_EQ(attention_of(groups).qkv.front().out_features, (6 + 2 * 2) * 14);
  EXPECT_EQ(groups.layers.front().mlp_norm->weight.name, "transformer.h.0.ln_mlp.weight");
  const ModelSpec old_groups = changed("falcon_groups_old_names", "{}");
  EXPECT_EQ(attention_of(old_groups).qkv.front().out_features, (6 + 2 * 3) * 14);
  EXPECT_TRUE(old_groups.layers.front().mlp_norm.has_value());
  const ModelSpec sequential = changed("falcon_alibi_sequential", "{}");
  EXPECT_EQ(attention_of(sequential).qkv.front().out_features, 3 * 96);
  EXPECT_FALSE(sequential.layers.front().parallel);
}

TEST(Opt, PositionsBeginAtTheSecondRow) {
  const ModelSpec spec = changed("opt_norm_first", "{}");
  EXPECT_EQ(spec.first_position, 2);
  EXPECT_EQ(spec.positions->out_features, 44 + 2);
  EXPECT_TRUE(spec.final_norm.has_value());
  EXPECT_FALSE(changed("opt_norm_last_projected_v5", "{}").final_norm.has_value());
}

struct LayerNormRefusal {
  const char* base;
  const char* patch;
  ErrorKind kind;
  const char* field;
  const char* detail;
};

const LayerNormRefusal kRefusals[] = {
    {"gpt2_hub_names", R"({"add_cross_attention": true})", ErrorKind::kUnsupported,
     "add_cross_attention", "true"},
    {"gpt2_hub_names", R"({"n_head": 7})", ErrorKind::kInput, "n_embd", "multiple of 7"},
    {"gpt2_hub_names", R"({"hidden_size": 64})", ErrorKind::kInput, "hidden_size",
     "60, as n_embd says"},
    {"gpt2_hub_names", R"({"activation_function": "mish"})", ErrorKind::kUnsupported,
     "activation_function", "mish"},
    {"gpt_neox_parallel", R"({"rotary_pct": 1.5})", ErrorKind::kInput, "rotary_pct", "at most 1"},
    {"gpt_neox_sequential_v5",
     R"({"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0}})",
     ErrorKind::kInput, "rope_parameters.partial_rotary_factor", "more than 0"},
    {"gpt_neox_parallel", R"({"hidden_act": "relu2"})", ErrorKind::kUnsupported, "hidden_act",
     "relu2"},
    {"gpt_neox_odd_columns", R"({"rope_scaling": {"type": "linear", "factor": 2}})",
     ErrorKind::kUnsupported, "rope_scaling.type", "odd"},
    {"phi_partial", R"({"partial_rotary_factor": 0.3})", ErrorKind::kUnsupported, "head_dim",
     "even"},
    {"phi_normed_heads_v5", R"({"head_dim": 16})", ErrorKind::kUnsupported, "qk_layernorm",
     "heads of 16"},
    {"starcoder2_window", R"({"num_key_value_heads": 4})", ErrorKind::kInput, "num_key_value_heads",
     "divisor"},
    {"starcoder2_window", R"({"norm_type": "rms_norm"})", ErrorKind::kUnsupported, "norm_type",
     "rms_norm"},
    {"starcoder2_window", R"({"mlp_type": "gated"})", ErrorKind::kUnsupported, "mlp_type", "gated"},
    {"starcoder2_window", R"({"scale_attn_weights": false})", ErrorKind::kUnsupported,
     "scale_attn_weights", "false"},
    {"falcon_old_names", R"({"apply_residual_connection_post_layernorm": true})",
     ErrorKind::kUnsupported, "apply_residual_connection_post_layernorm", "true"},
    {"falcon_alibi_parallel_v5", R"({"hidden_size": 8192, "num_attention_heads": 8192})",
     ErrorKind::kInput, "num_attention_heads", "at most 4096"},
    {"falcon_old_names", R"({"alibi": null})", ErrorKind::kInput, "alibi", "null"},
    {"falcon_old_names", R"({"multi_query": null})", ErrorKind::kInput, "multi_query", "null"},
    {"falcon_groups_old_names", R"({"model_type": "RefinedWebModel"})", ErrorKind::kInput,
     "multi_query", "missing"},
    {"falcon_groups_old_names", R"({"n_head_kv": null})", ErrorKind::kInput, "n_head_kv",
     "missing"},
    {"bloom_hub_names", R"({"n_head": 5})", ErrorKind::kInput, "num_attention_heads",
     "5, as n_head says"},
    {"bloom_hub_names", R"({"num_attention_heads": 7})", ErrorKind::kInput, "n_embed",
     "multiple of 7"},
    {"falcon_groups_two_norms_v5", R"({"parallel_attn": false})", ErrorKind::kUnsupported,
     "parallel_attn", "false"},
    {"falcon_old_names", R"({"num_ln_in_parallel_attn": 2})", ErrorKind::kUnsupported,
     "num_ln_in_parallel_attn", "found 2"},
    {"falcon_groups_two_norms_v5", R"({"num_kv_heads": 4})", ErrorKind::kInput, "num_kv_heads",
     "divisor"},
    {"falcon_alibi_sequential", R"({"num_kv_heads": 4})", ErrorKind::kUnsupported, "num_kv_heads",
     "multi_query"},
    {"gptj_partial", R"({"rotary_dim": 16})", ErrorKind::kInput, "rotary_dim", "up to 14"},
    {"gptj_partial", R"({"rotary_dim": null})", ErrorKind::kInput, "rotary_dim", "null"},
    {"gptj_partial", R"({"rope_scaling": {"type": "linear", "factor": 2}})",
     ErrorKind::kUnsupported, "rope_scaling", "null"},
    {"gptj_partial", R"({"rotary": false})", ErrorKind::kUnsupported, "rotary", "false"},
    {"gptj_partial", R"({"scale_attn_weights": false})", ErrorKind::kUnsupported,
     "scale_attn_weights", "false"},
    {"opt_norm_first", R"({"activation_function": "silu2"})", ErrorKind::kUnsupported,
     "activation_function", "silu2"},
    {"opt_norm_first", R"({"ffn_dim": "100"})", ErrorKind::kInput, "ffn_dim", "whole number"},
};

TEST(LayerNormDecoders, RefuseByFieldName) {
  for (const LayerNormRefusal& refusal : kRefusals) {
    SCOPED_TRACE(refusal.patch);
    json config = config_of(refusal.base);
    const json patch = json::parse(refusal.patch);
    // A null of the patch stays one: it is what is asked for.
    for (const auto& [key, value] : patch.items()) config[key] = value;
    expect_error(refusal.kind, "config.json: " + std::string(refusal.field), refusal.detail,
                 [&] { spec_from_config(config); });
  }
}

// Files may leave the base's prefix away, and call the head by another name.
TEST(Names, AreSettledByTheFile) {
  const Model hub(tiny_model("gpt2_hub_names"), *make_backend("cpu"));
  EXPECT_EQ(hub.spec.layers[2].prefix, "h.2.");
  EXPECT_EQ(hub.spec.positions->module, "wpe");
  EXPECT_EQ(hub.spec.head.module, "wte");
  const Model full(tiny_model("gpt2_unscaled_relu"), *make_backend("cpu"));
  EXPECT_EQ(full.spec.layers[1].prefix, "transformer.h.1.");
}

TEST(LearnedPositions, ABeyondIsRefused) {
  const auto backend = make_backend("cpu");
  Model model(tiny_model("opt_norm_first"), *backend);
  model.logits(std::vector<std::int32_t>(44, 3));
  expect_error(ErrorKind::kInput, "sequence", "more than 44 tokens",
               [&] { model.logits(std::vector<std::int32_t>(45, 3)); });
}

}  // namespace
}  // namespace whit::model::testing
