#include "formats/quantization_config.h"

#include "formats/model_folder.h"

namespace whit::formats {
namespace {

using base::ErrorKind;
using nlohmann::json;
using scheme::NumberType;
using scheme::QuantArgs;
using scheme::Strategy;
using testing::expect_error;

QuantizationConfig parse(const std::string& text) {
  return parse_quantization_config(json::parse(text), "q");
}
QuantArgs parse_weights(const std::string& weights) {
  return parse(R"({"config_groups":{"g":{"targets":["Linear"],"weights":)" + weights + "}}}")
      .groups.at(0)
      .scheme.weights;
}

QuantizationConfig w4a16() {
  QuantizationConfig config;
  ConfigGroup group;
  group.targets = {"Linear"};
  group.format = "pack-quantized";
  group.scheme.weights.group_size = 128;
  config.groups.push_back(group);
  config.ignore = {"lm_head", "re:.*mlp\\.gate$", "re:.*eh_proj$"};
  return config;
}

// The known-good document of W4A16, with the keys that MoE-Quant writes.
TEST(ToJson, WritesTheKnownGoodDocument) {
  EXPECT_EQ(json(to_json(w4a16())), json::parse(R"({
    "quant_method": "compressed-tensors", "format": "pack-quantized", "quantization_status": "compressed",
    "config_groups": {"group_0": {"targets": ["Linear"], "input_activations": null, "output_activations": null,
      "weights": {"num_bits": 4, "type": "int", "symmetric": true, "strategy": "group", "group_size": 128, "dynamic": false,
                  "actorder": null, "block_structure": null, "observer": "minmax", "observer_kwargs": {}}}},
    "ignore": ["lm_head", "re:.*mlp\\.gate$", "re:.*eh_proj$"], "kv_cache_scheme": null})"));
  EXPECT_TRUE(to_json(QuantizationConfig{})["ignore"].is_array());
}

TEST(ToJson, ParsesBack) {
  QuantizationConfig config = w4a16();
  EXPECT_EQ(parse(to_json(config).dump()), config);
  ConfigGroup block;
  block.targets = {"re:.*experts.*"};
  block.format = "float-quantized";
  block.scheme.weights = {8, NumberType::kFloat, true, Strategy::kBlock, 0, 128, 64, false};
  block.scheme.input_activations =
      QuantArgs{8, NumberType::kFloat, true, Strategy::kGroup, 128, 0, 0, true};
  config.groups.push_back(block);
  config.groups[0].scheme.weights = {8,    NumberType::kInt, false, Strategy::kChannel, 0, 0, 0,
                                     false};
  EXPECT_EQ(parse(to_json(config).dump()), config);
}

TEST(Parse, InfersTheStrategy) {
  EXPECT_EQ(parse_weights(R"({"num_bits":4,"group_size":64})").strategy, Strategy::kGroup);
  EXPECT_EQ(parse_weights(R"({"num_bits":4,"group_size":-1})").strategy, Strategy::kChannel);
  EXPECT_EQ(parse_weights(R"({"num_bits":4,"group_size":null})").strategy, Strategy::kTensor);
  EXPECT_EQ(parse_weights("{}").num_bits, 8);
  EXPECT_EQ(parse_weights(R"({"strategy":"channel","group_size":-1})").group_size, 0);
}

TEST(Parse, TakesOldAndNewForms) {
  const QuantArgs block{8, NumberType::kFloat, true, Strategy::kBlock, 0, 128, 64, false};
  EXPECT_EQ(parse_weights(R"({"type":"float","strategy":"block","block_structure":"128x64"})"),
            block);
  EXPECT_EQ(parse_weights(R"({"type":"float","strategy":"block","block_structure":[128,64]})"),
            block);
  for (const char* order :
       {"null", "\"group\"", "\"static\"", "\"weight\"", "\"dynamic\"", "true", "false"})
    EXPECT_EQ(
        parse_weights(std::string(R"({"num_bits":4,"group_size":32,"actorder":)") + order + "}")
            .group_size,
        32);
  EXPECT_TRUE(
      parse_weights(
          R"({"strategy":"token","dynamic":"local","observer":null,"scale_dtype":"torch.uint8","later":1})")
          .dynamic);
  const QuantizationConfig latest = parse(
      R"({"config_groups":{"a":{"targets":["Linear"],"format":"int-quantized","weights":{"strategy":"channel"}},
      "kv":{"targets":["re:.*Attention"],"weights":null}},"format":"mixed-precision","ignore":null,"moe_sparsity_config":null,
      "sparsity_config":{},"transform_config":{},"version":"0.20.0","quantization_status":"frozen"})");
  ASSERT_EQ(latest.groups.size(), 1U);
  EXPECT_EQ(latest.groups[0].format, "int-quantized");
  EXPECT_TRUE(latest.ignore.empty());
}

TEST(Parse, KnowsPresets) {
  const auto preset = [](const std::string& name) {
    return parse(R"({"config_groups":{")" + name + R"(":["Linear"]}})").groups.at(0).scheme;
  };
  EXPECT_EQ(preset("W4A16").weights,
            (QuantArgs{4, NumberType::kInt, true, Strategy::kGroup, 128, 0, 0, false}));
  EXPECT_FALSE(preset("W4A16_ASYM").weights.symmetric);
  EXPECT_EQ(preset("FP8_BLOCK").weights.block_rows, 128);
  EXPECT_EQ(preset("FP8_DYNAMIC").weights.strategy, Strategy::kChannel);
  EXPECT_TRUE(preset("FP8_DYNAMIC").input_activations->dynamic);
  expect_error(ErrorKind::kUnsupported, "q.config_groups.NVFP4", "preset",
               [&] { preset("NVFP4"); });
}

TEST(Parse, ReadsHuggingFaceFp8) {
  const QuantizationConfig config = parse(
      R"({"quant_method":"fp8","fmt":"e4m3","activation_scheme":"dynamic","weight_block_size":[128,128],"scale_fmt":"ue8m0","modules_to_not_convert":["lm_head"]})");
  EXPECT_EQ(config.quant_method, "fp8");
  EXPECT_EQ(config.groups.at(0).scheme.weights.block_cols, 128);
  EXPECT_EQ(config.ignore, std::vector<std::string>{"lm_head"});
  EXPECT_EQ(parse(R"({"quant_method":"fp8"})").groups.at(0).scheme.weights.strategy,
            Strategy::kTensor);
  EXPECT_TRUE(parse(R"({"quant_method":"gptq","bits":4})").groups.empty());
  EXPECT_EQ(quantization_config_of(json::parse("{}"), "c"), std::nullopt);
  EXPECT_EQ(quantization_config_of(json::parse(R"({"quantization_config":null})"), "c"),
            std::nullopt);
  EXPECT_TRUE(quantization_config_of(json::parse(R"({"compression_config":{}})"), "c").has_value());
}

TEST(Parse, NamesTheFieldAtFault) {
  const auto refused = [](const std::string& weights, const std::string& field,
                          std::string_view detail) {
    expect_error(ErrorKind::kInput, "q.config_groups.g.weights" + field, detail,
                 [&] { parse_weights(weights); });
  };
  refused("[]", "", "is array; expected an object");
  refused(R"({"num_bits":"4"})", ".num_bits", "\"4\"");
  refused(R"({"num_bits":4.0})", ".num_bits", "4.0");
  refused(R"({"num_bits":0})", ".num_bits", "1..16");
  refused(R"({"num_bits":18446744073709551615})", ".num_bits", "1..16");
  refused(R"({"num_bits":9})", ".num_bits", "1..8 for int");
  refused(R"({"type":"complex"})", ".type", "int or float");
  refused(R"({"symmetric":1})", ".symmetric", "true or false");
  refused(R"({"dynamic":"no"})", ".dynamic", "local");
  refused(R"({"strategy":"row"})", ".strategy", "'row'");
  refused(R"({"strategy":"group"})", ".group_size", "needs one");
  refused(R"({"strategy":"group","group_size":0})", ".group_size", "needs one");
  refused(R"({"strategy":"channel","group_size":128})", ".group_size", "takes none");
  refused(R"({"strategy":"group","group_size":-2})", ".group_size", "-2");
  refused(R"({"strategy":"block"})", ".block_structure", "needs one");
  for (const char* block : {"\"128\"", "\"x\"", "\"0x4\"", "\"4x4y\"", "[1]", "[0,1]", "[1,-1]",
                            "7", "[99999999999999999999,1]", "\"99999999999999999999x1\""})
    refused(std::string(R"({"strategy":"block","block_structure":)") + block + "}",
            ".block_structure", "[rows, columns]");
  expect_error(ErrorKind::kInput, "q.config_groups", "expected an object",
               [] { parse(R"({"config_groups":[]})"); });
  expect_error(ErrorKind::kInput, "q.ignore", "list of strings",
               [] { parse(R"({"ignore":"lm_head"})"); });
  expect_error(ErrorKind::kInput, "q.ignore", "list of strings",
               [] { parse(R"({"ignore":[1]})"); });
  expect_error(ErrorKind::kInput, "q", "expected an object", [] { parse("7"); });
  expect_error(ErrorKind::kInput, "q.weight_block_size", "[rows, columns]",
               [] { parse(R"({"quant_method":"fp8","weight_block_size":[128]})"); });
}

TEST(GroupFinder, FollowsTheOrderOfCompressedTensors) {
  QuantizationConfig config = w4a16();
  config.groups[0].scheme.weights.num_bits = 2;
  const auto add = [&](const std::string& target, int bits) {
    ConfigGroup group = config.groups[0];
    group.targets = {target};
    group.scheme.weights.num_bits = bits;
    config.groups.push_back(group);
  };
  add("re:z.*", 3);
  add("re:.*exact", 4);
  add("a.exact", 5);
  const GroupFinder finder(config);
  const auto bits = [&](const char* module) {
    return finder.find(module)->scheme.weights.num_bits;
  };
  EXPECT_EQ(bits("a.exact"), 5);
  EXPECT_EQ(bits("z.exact"), 4);  // "re:.*exact" sorts before "re:z.*"
  EXPECT_EQ(bits("z.other"), 3);
  EXPECT_EQ(bits("other"), 2);
  EXPECT_EQ(finder.find("other", "Embedding"), nullptr);
  EXPECT_EQ(finder.find("lm_head"), nullptr);
  EXPECT_TRUE(finder.ignored("x.mlp.gate"));
  EXPECT_FALSE(finder.ignored("x.mlp.gate_proj"));
}

}  // namespace
}  // namespace whit::formats
