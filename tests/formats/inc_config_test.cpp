#include "formats/inc_config.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "formats/inc_modules.h"

namespace whit::formats {
namespace {

using scheme::Fp8Device;

IncConfig parse_config(const std::string& text) {
  return parse_inc_config(nlohmann::ordered_json::parse(text), "config.json");
}

// The error that a config must give.
base::Error refused(const std::string& text) {
  try {
    parse_config(text);
  } catch (const base::Error& error) {
    return error;
  }
  ADD_FAILURE() << text << " is accepted";
  return base::Error(base::ErrorKind::kBug, "", "");
}

TEST(IncConfig, DefaultsAreTheEngines) {
  const auto config = parse_config("{}");
  EXPECT_EQ(config.mode, IncMode::kQuantize);
  EXPECT_EQ(config.observer, "maxabs");
  EXPECT_FALSE(config.dump_stats_path);
  EXPECT_EQ(config.method_name, "MAXABS_HW");
  EXPECT_EQ(config.scale_format, IncScaleFormat::kScalar);
  EXPECT_EQ(config.measure_exclude, IncMeasureExclude::kOutput);
  EXPECT_EQ(config.hp_dtype, numeric::Dtype::kBF16);
  EXPECT_TRUE(config.seperate_measure_files);
  EXPECT_TRUE(config.needs_measurements());
  EXPECT_TRUE(config.warnings.empty());
}

// vLLM-Gaudi's and DeepSeek's files, as they are.
TEST(IncConfig, ReadsFilesInUse) {
  const auto measure =
      parse_config(R"({"mode": "MEASURE", "observer": "maxabs", "measure_exclude": "OUTPUT",
    "allowlist": {"types": [], "names": []},
    "blocklist": {"types": [], "names": ["lm_head", "mlp\\.gate\\b"]},
    "quantize_weight": false, "dump_stats_path": "/data/ds/g3/inc_output",
    "calibration_sample_interval": 1})");
  EXPECT_EQ(measure.mode, IncMode::kMeasure);
  EXPECT_EQ(measure.calibration_sample_interval, 1);
  EXPECT_EQ(measure.block.names, (std::vector<std::string>{"lm_head", "mlp\\.gate\\b"}));
  EXPECT_EQ(measure.warnings.size(), 1U);
  const auto quantize =
      parse_config(R"({"method": "HOOKS", "mode": "quantize", "observer": "maxabs",
    "scale_method": "maxabs_hw", "scale_format": "scalar", "use_qdq": "False",
    "whitelist": {"types": [], "names": []}, "blacklist": {"types": ["KVCache"], "names": []},
    "scale_params": {}, "mod_dict": {}, "device_for_scales": null,
    "dump_stats_path": "out/inc_output"})");
  EXPECT_EQ(quantize.block.types, std::vector<std::string>{"KVCache"});
  const auto dynamic = parse_config(R"({"mode": "QUANTIZE", "scale_method": "maxabs_pcs_pow2",
    "scale_format": "const", "dynamic_quantization": "True", "dump_stats_path": "",
    "blocklist": {"types": ["Matmul", "B2BMatmul", "KVCache", "VLLMKVCache"], "names": []}})");
  EXPECT_FALSE(dynamic.needs_measurements());
  EXPECT_FALSE(parse_config(R"({"scale_method": "unit_scale"})").needs_measurements());
  EXPECT_FALSE(parse_config(R"({"scale_method": "hw_aligned_single_scale"})").needs_measurements());
}

TEST(IncConfig, UnknownKeysNameTheNearest) {
  const auto error = refused(R"({"scale_metod": "maxabs_hw"})");
  EXPECT_EQ(error.kind(), base::ErrorKind::kInput);
  EXPECT_EQ(error.subject(), "config.json: scale_metod");
  EXPECT_EQ(error.suggestion(), "did you mean scale_method?");
  EXPECT_EQ(refused(R"({"blocklist": {"name": []}})").suggestion(), "did you mean names?");
  EXPECT_EQ(refused(R"({"scale_method": {"default": {"weights": {}}}})").suggestion(),
            "did you mean weight?");
  EXPECT_EQ(refused(R"({"scale_method": "maxabs_pow"})").suggestion(), "did you mean MAXABS_POW2?");
}

TEST(IncConfig, RefusesWhatNoEngineTakes) {
  for (const char* text :
       {R"({"mode": "AUTO"})", R"({"mode": "FAST"})", R"({"use_qdq": 1})", R"({"use_qdq": "yes"})",
        R"({"observer": "minmax"})", R"({"hp_dtype": "INT8"})", R"({"mod_dict": {"a": 1}})",
        R"({"calibration_sample_interval": -1})", R"({"blocklist": ["lm_head"]})",
        R"({"blocklist": {"names": "lm_head"}})", R"({"device_for_scales": "GAUDI1"})",
        R"({"scale_params": {"backoff": 1}})", R"({"scale_params": {"input_backoff": 0}})"})
    EXPECT_EQ(refused(text).kind(), base::ErrorKind::kInput) << text;
  EXPECT_EQ(refused(R"({"scale_method": "SMOOTHQUANT_MAXABS_POW2"})").kind(),
            base::ErrorKind::kUnsupported);
}

TEST(IncConfig, ContradictionsAreErrors) {
  EXPECT_EQ(refused(R"({"dynamic_quantization": true, "scale_method": "maxabs_hw"})").subject(),
            "config.json: scale_method");
  EXPECT_EQ(refused(R"({"scale_method": "MAXABS_PCS_POW2"})").subject(),
            "config.json: scale_method");
  EXPECT_EQ(
      refused(R"({"scale_method": "ACT_MAXABS_PCS_POW2_WEIGHT_MAXABS_PTS_POW2_HW"})").subject(),
      "config.json: scale_method");
  EXPECT_EQ(refused(R"({"dynamic_quantization": true, "scale_method": "MAXABS_PCS_POW2",
                        "use_qdq": true})")
                .subject(),
            "config.json: use_qdq");
  EXPECT_EQ(refused(R"({"dynamic_quantization": true, "scale_method": "MAXABS_PCS_POW2",
                        "mode": "MEASURE"})")
                .subject(),
            "config.json: mode");
}

TEST(IncConfig, DevicesOfScales) {
  const auto refuses = [](const std::string& text, std::optional<Fp8Device> device) {
    EXPECT_THROW(device_for_scales(parse_config(text), device, "c"), base::Error) << text;
  };
  const std::string gaudi2 = R"({"device_for_scales": "GAUDI2"})";
  EXPECT_EQ(device_for_scales(parse_config(gaudi2), Fp8Device::kGaudi3, "c"), Fp8Device::kGaudi2);
  EXPECT_EQ(scheme::full_scale({scheme::Fp8Format::kE4M3, Fp8Device::kGaudi2}), 240);
  EXPECT_EQ(device_for_scales(parse_config(gaudi2), std::nullopt, "c"), Fp8Device::kGaudi2);
  refuses(R"({"device_for_scales": "GAUDI3"})", Fp8Device::kGaudi2);
  refuses(R"({"device_for_scales": "GAUDI2", "scale_method": "maxabs_pow2"})", Fp8Device::kGaudi3);
  refuses("{}", Fp8Device::kGeneric);
  refuses(R"({"use_qdq": true, "device_for_scales": "GAUDI2"})", Fp8Device::kGeneric);
  EXPECT_EQ(device_for_scales(parse_config(R"({"use_qdq": true})"), Fp8Device::kGeneric, "c"),
            Fp8Device::kGeneric);
}

TEST(IncConfig, ScalarBecomesConstPerChannel) {
  const auto config = parse_config(R"({"scale_format": "scalar",
                               "scale_method": "ACT_MAXABS_POW2_WEIGHTS_PCS_OPT_POW2"})");
  EXPECT_EQ(config.scale_format, IncScaleFormat::kConst);
  EXPECT_EQ(config.warnings.size(), 1U);
  EXPECT_EQ(parse_config(R"({"fake_quant": true})").scale_format, IncScaleFormat::kConst);
}

TEST(IncConfig, BackoffsOfScaleParamsAreHonoured) {
  const auto config =
      parse_config(R"({"scale_params": {"input_backoff": 0.5, "weight_backoff": 0.75}})");
  EXPECT_EQ(config.methods.fallback.activation.backoff, 0.5);
  EXPECT_EQ(config.methods.fallback.weight.backoff, 0.75);
  EXPECT_EQ(config.output_backoff, 0.25);
  EXPECT_EQ(config.warnings.size(), 2U);
  EXPECT_TRUE(parse_config(R"({"scale_params": {"input_backoff": 0.25, "weight_backoff": 0.5}})")
                  .warnings.empty());
}

TEST(IncConfig, StructuredMethods) {
  const auto config = parse_config(R"({"scale_method": {
    "default": {"weight": {"rounding_method": "pow2"}, "activation": {"rounding_method": "POW2"}},
    "nodes": {"lm_head": {"weight": {"backoff": 0.5}}},
    "layers": {"3": {"weight": {"granularity": "PCS"}}},
    "layer_types": {"Matmul": {"activation": {"backoff": 0.125}}}}})");
  EXPECT_EQ(config.method_name, "MAXABS_POW2");
  EXPECT_TRUE(config.recalc_scales);
  const auto& methods = config.methods;
  // Not the named method's 0.5 and 0.25.
  EXPECT_EQ(methods.fallback.weight.backoff, 1);
  EXPECT_EQ(methods.fallback.activation.backoff, 1);
  EXPECT_EQ(methods.of("lm_head", "Linear").weight.backoff, 0.5);
  EXPECT_EQ(methods.of("model.layers.3.q", "Matmul").weight.granularity,
            scheme::ScaleGranularity::kChannel);
  EXPECT_EQ(methods.of("model/layers/3/q", "Linear").weight.granularity,
            scheme::ScaleGranularity::kChannel);
  EXPECT_EQ(methods.of("model.layers.13.q", "Matmul").activation.backoff, 0.125);
  EXPECT_EQ(&methods.of("model.layers.13.q", "Linear"), &methods.fallback);
  EXPECT_EQ(refused(R"({"scale_method": {"default": {"weight": {"rounding_method": "POW2"}}}})")
                .subject(),
            "config.json: scale_method: default");
  EXPECT_EQ(refused(R"({"scale_method": {"nodes": {}}})").subject(), "config.json: scale_method");
}

TEST(IncConfig, DumpPaths) {
  const auto path = [](const std::string& value) {
    IncConfig config;
    config.dump_stats_path = value;
    return resolve_dump_path(config, "/run/configs/quant.json");
  };
  const auto relative = path("out/run-1");
  EXPECT_EQ(relative.prefix, "run-1");
  EXPECT_EQ(relative.folders.front(), "/run/configs/out");
  // A tree that was moved: the end of the old path is looked for beside the config.
  const auto moved = path("/old/configs/g2/inc_output").folders;
  EXPECT_EQ(moved.front(), "/old/configs/g2");
  EXPECT_NE(std::find(moved.begin(), moved.end(), "/run/configs/g2"), moved.end());
  EXPECT_THROW(path("stats"), base::Error);
  EXPECT_THROW(path("folder/"), base::Error);
  EXPECT_THROW(resolve_dump_path(IncConfig(), "/c.json"), base::Error);
}

bool selects(const std::string& config, const std::string& name,
             const std::string& type = "Linear") {
  return IncSelection(parse_config(config), "c").selects(name, type);
}

TEST(IncSelection, NamesAreSearchedExpressions) {
  const std::string block =
      R"({"blocklist": {"names": ["lm_head", "mlp\\.gate\\b"], "types": []}})";
  for (const char* name : {"lm_head", "model.layers.3.mlp.gate", "model.layers.3.mlp.gate.sub"})
    EXPECT_FALSE(selects(block, name)) << name;
  for (const char* name : {"model.layers.3.mlp.gate_up_proj", "model.layers.3.mlp.experts.gate"})
    EXPECT_TRUE(selects(block, name)) << name;
  const std::string layer = R"({"allowlist": {"names": ["layers.1"]}})";
  EXPECT_TRUE(selects(layer, "model.layers.1.q"));
  EXPECT_TRUE(selects(layer, "model.layers.10.q"));
  const std::string only = R"({"allowlist": {"names": ["layers\\.1\\."]}})";
  EXPECT_TRUE(selects(only, "model.layers.1.q"));
  EXPECT_FALSE(selects(only, "model.layers.10.q"));
  EXPECT_THROW(selects(R"({"allowlist": {"names": ["("]}})", "a"), base::Error);
}

TEST(IncSelection, TypesAreClassNames) {
  EXPECT_FALSE(selects(R"({"allowlist": {"types": ["torch.nn.Linear"]}})", "a"));
  const std::string either = R"({"allowlist": {"types": ["Linear"], "names": ["self_attn"]}})";
  EXPECT_TRUE(selects(either, "mlp.up", "Linear"));
  EXPECT_TRUE(selects(either, "self_attn.matmul_qk", "Matmul"));
  EXPECT_FALSE(selects(either, "other.matmul", "Matmul"));
  EXPECT_FALSE(selects("{}", "a", "LayerNorm"));
  const std::string dynamic =
      R"({"dynamic_quantization": true, "scale_method": "MAXABS_PCS_POW2"})";
  EXPECT_TRUE(selects(dynamic, "a", "VLLMKVCache"));
  EXPECT_FALSE(selects(dynamic, "a", "ModuleFusedSDPA"));
}

TEST(IncModules, NamesOfExperts) {
  const auto matrix = parse_expert_matrix("model.layers.0.mlp.experts.moe_op.w13_list.12");
  ASSERT_TRUE(matrix);
  EXPECT_EQ(matrix->moe, "model.layers.0.mlp.experts.moe_op");
  EXPECT_EQ(matrix->list, "w13_list");
  EXPECT_EQ(matrix->expert, 12);
  for (const char* name : {"w13_list.3", "a.w13_list.x", "a.w13_list", "a.w1_list.3", "3", ""})
    EXPECT_FALSE(parse_expert_matrix(name)) << name;
  const auto slice = parse_expert_slice("m.experts._temp_expert_group_7.MoeOp");
  ASSERT_TRUE(slice);
  EXPECT_EQ(slice->pattern, "m.experts._temp_expert_group_*.MoeOp");
  EXPECT_EQ(slice->slice, 7);
  EXPECT_EQ(slice_name(slice->pattern, 7), "m.experts._temp_expert_group_7.MoeOp");
}

}  // namespace
}  // namespace whit::formats
