#include "formats/verify.h"

#include <algorithm>
#include <filesystem>
#include <functional>

#include "formats/model_folder.h"
#include "formats/quantization_config.h"
#include "numeric/float_codec.h"

namespace whit::formats {
namespace {

using namespace testing;

const std::vector<std::string> kPacked{"l.0.self_attn.q_proj",        "l.0.self_attn.k_proj",
                                       "l.0.mlp.experts.0.gate_proj", "l.0.mlp.experts.0.up_proj",
                                       "l.0.mlp.experts.1.gate_proj", "l.0.mlp.experts.1.up_proj"};

// Codes k - 8 with the scale .5; an odd width, so that there is padding.
scheme::GroupedInt packed_weight(bool symmetric = true) {
  scheme::GroupedInt w;
  w.group_size = 6;
  w.codes = Tensor({4, 12}, Dtype::kI8);
  for (std::int64_t i = 0; i < 48; ++i)
    w.codes.as<std::int8_t>()[i] = static_cast<std::int8_t>(i % 16 - 8);
  w.scales = f32({4, 2}, std::vector<float>(8, .5F));
  if (!symmetric) w.zeros = Tensor({4, 2}, Dtype::kI8);
  return w;
}

std::vector<float> weight_values() {
  return values_in<float>(scheme::decode(scheme::QuantizedWeight(packed_weight())));
}

nlohmann::json good_config() {
  QuantizationConfig config;
  ConfigGroup group{{"Linear"}, {}, "pack-quantized"};
  group.scheme.weights.group_size = 6;
  config.groups.push_back(group);
  config.ignore = {"lm_head", "re:.*mlp\\.gate$"};
  return {{"model_type", "x"}, {"quantization_config", to_json(config)}};
}

Tensor router() {
  return bf16({2, 2}, {0x3F80, 0x3F00, 0xBF80, 0x4000});
}
Tensor eighths() {
  return f8({2, 2}, {0x38, 0x30, 0xB8, 0x40});
}

// A source with F32, BF16 and FP8 weights, and what a correct quantizer makes of it.
class Verified : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const std::string& module : kPacked) {
      source_.set(module + ".weight", f32({4, 12}, weight_values()));
      written_.add(encode_packed(module, packed_weight()));
    }
    for (ModelFolder* model : {&source_, &written_}) {
      model->set("l.0.mlp.gate.weight", router());
      model->set("model.embed_tokens.weight", router());
      model->set("norm.weight", bf16({2}, {0x3F80, 0x3F80}));
      model->folder().write("tokenizer.json", "{}");
    }
    source_.set("lm_head.weight", eighths());
    source_.set("lm_head.weight_scale_inv", f32({1, 1}, {.5F}));
    source_.set("l.0.self_attn.rotary_emb.inv_freq", f32({1}, {1}));
    written_.set("lm_head.weight", bf16({2, 2}, {0x3F00, 0x3E80, 0xBF00, 0x3F80}));
    source_.config(R"({"model_type":"x","quantization_config":{"quant_method":"fp8"}})");
    written_.config(good_config().dump());
  }

  std::vector<Check> run() const {
    const Checkpoint written = written_.open();
    const Checkpoint source = source_.open();
    return verify(written, &source);
  }

  // The named check fails with a detail that holds `detail`; returns how many fail.
  void expect_fails(const std::string& name, const std::string& detail) const {
    const std::vector<Check> checks = run();
    const auto it =
        std::find_if(checks.begin(), checks.end(), [&](const Check& c) { return c.name == name; });
    ASSERT_NE(it, checks.end()) << name;
    EXPECT_FALSE(it->ok) << name;
    EXPECT_NE(it->detail.find(detail), std::string::npos) << it->detail;
  }

  void change_config(const std::function<void(nlohmann::json&)>& change) {
    nlohmann::json config = good_config();
    change(config["quantization_config"]);
    written_.config(config.dump());
  }

  ModelFolder source_;
  ModelFolder written_;
};

TEST_F(Verified, PassesWhatIsRight) {
  const std::vector<Check> checks = run();
  EXPECT_GE(checks.size(), 15U);
  for (const Check& check : checks) EXPECT_TRUE(check.ok) << check.name << ": " << check.detail;
  const auto it = std::find_if(checks.begin(), checks.end(), [](const Check& c) {
    return c.name == "every source tensor is there";
  });
  EXPECT_EQ(it->detail,
            "12 tensors (6 packed, 3 copied, 1 decoded, 1 consumed, 1 buffers left out)");
}

TEST_F(Verified, PassesFp8ThatWasCopied) {
  written_.set("lm_head.weight", eighths());
  written_.set("lm_head.weight_scale_inv", f32({1, 1}, {.5F}));
  const std::vector<Check> checks = run();
  // It is quantized now, and the config ignores it.
  for (const Check& check : checks)
    EXPECT_EQ(check.ok, check.name != "targets and ignore list")
        << check.name << ": " << check.detail;
}

TEST_F(Verified, FindsWhatIsMissing) {
  written_.erase("norm.weight");
  expect_fails("every source tensor is there", "1 of 12 tensors: norm.weight");
}

TEST_F(Verified, FindsAMissingExpert) {
  for (const char* suffix : {".weight_packed", ".weight_scale", ".weight_shape"})
    written_.erase(kPacked[5] + suffix);
  expect_fails("every source tensor is there", "experts.1.up_proj.weight");
}

TEST_F(Verified, FindsChangedCopies) {
  written_.set("norm.weight", bf16({2}, {0x3F80, 0x3F81}));
  expect_fails("copies are exact", "norm.weight differs");
  written_.set("lm_head.weight", bf16({2, 2}, {0x3F00, 0x3E80, 0xBF00, 0x3F81}));
  expect_fails("copies are exact", "lm_head.weight is not the source's weight decoded");
}

TEST_F(Verified, FindsUnknownTensors) {
  written_.set("extra.weight", bf16({2}, {0, 0}));
  expect_fails("nothing besides the source's tensors", "extra.weight");
}

TEST_F(Verified, FindsAWeightThatIsAnother) {
  std::vector<float> other = weight_values();
  std::reverse(other.begin(), other.end());
  source_.set(kPacked[3] + ".weight", f32({4, 12}, other));
  expect_fails("packed and refitted weights are the source's", "experts.0.up_proj is 1.");
  source_.set(kPacked[3] + ".weight", f32({12, 4}, weight_values()));
  expect_fails("packed and refitted weights are the source's", "the source has [12, 4]");
}

TEST_F(Verified, FindsModulesThatDoNotDecode) {
  written_.set(kPacked[0] + ".weight_shape", i64({2}, {4, 99}));
  expect_fails("modules decode", "weight_packed: 2 words a row");
}

constexpr const char* kScales = "no scale is 0, or negative but of symmetric codes";

TEST_F(Verified, FindsWrongScales) {
  written_.set(kPacked[0] + ".weight_scale",
               bf16({4, 2}, {0x3F00, 0, 0x3F00, 0x3F00, 0x3F00, 0x3F00, 0x3F00, 0x3F00}));
  expect_fails(kScales, "1 of 6 modules: l.0.self_attn.q_proj");
  written_.set(kPacked[0] + ".weight_scale",
               bf16({4, 2}, {0x3F00, 0x7FC0, 0x3F00, 0x3F00, 0x3F00, 0x3F00, 0x3F00, 0x3F00}));
  expect_fails("modules decode", "expected finite scales");
}

TEST_F(Verified, TakesNegativeScalesOfSymmetricCodes) {
  written_.set(kPacked[0] + ".weight_scale",
               bf16({4, 2}, {0x3F00, 0xBF00, 0x3F00, 0x3F00, 0x3F00, 0x3F00, 0x3F00, 0x3F00}));
  for (const Check& check : run()) EXPECT_TRUE(check.ok || check.name != kScales) << check.detail;
}

TEST_F(Verified, FindsWrongDtypes) {
  written_.set(kPacked[0] + ".weight_shape", i32({2}, {4, 12}));
  expect_fails("stored dtypes", "not I64");
  written_.set(kPacked[0] + ".weight_shape", i64({2}, {4, 12}));
  written_.set(kPacked[0] + ".weight_zero_point", words({1, 2}, {0x8888, 0x8888}));
  expect_fails("stored dtypes", "weight_zero_point that loaders refuse");
  written_.erase(kPacked[0] + ".weight_zero_point");
  written_.set(kPacked[0] + ".weight_g_idx", i32({12}, std::vector<std::int32_t>(12, -1)));
  expect_fails("stored dtypes", "weight_g_idx");
}

TEST_F(Verified, FindsPaddingThatIsNotZero) {
  auto tensors = encode_packed(kPacked[0], packed_weight());
  tensors[0].tensor.as<std::uint32_t>()[1] |= 0x80000000U;
  written_.add(std::move(tensors));
  expect_fails("padding is zero bits", "1 of 6 modules: l.0.self_attn.q_proj");
}

TEST_F(Verified, FindsRaggedGroups) {
  change_config([](auto& c) { c["config_groups"]["group_0"]["weights"]["group_size"] = 7; });
  expect_fails("groups divide the columns", "groups of 7 in 12 columns");
}

TEST_F(Verified, FindsMixedSchemesWhereLoadersFuse) {
  written_.erase(kPacked[1] + ".weight_packed");
  written_.erase(kPacked[1] + ".weight_scale");
  written_.erase(kPacked[1] + ".weight_shape");
  written_.set(kPacked[1] + ".weight", f32({4, 12}, weight_values()));
  expect_fails("one scheme where loaders fuse", "l.0.self_attn.k_proj is unquantized");
  expect_fails("targets and ignore list", "l.0.self_attn.k_proj is unquantized but not ignored");
}

TEST_F(Verified, FindsMixedSchemesOverExperts) {
  auto weight = packed_weight();
  weight.scale_dtype = Dtype::kF32;
  written_.add(encode_packed(kPacked[4], weight));
  expect_fails("one scheme where loaders fuse",
               "experts.1.gate_proj is int4 symmetric group 6 scales F32");
}

TEST_F(Verified, FindsLeftovers) {
  written_.set("lm_head.weight_scale_inv", f32({1, 1}, {.5F}));
  expect_fails("nothing is left of another format", "lm_head.weight_scale_inv");
  written_.erase("lm_head.weight_scale_inv");
  written_.set(kPacked[0] + ".weight", f32({4, 12}, weight_values()));
  expect_fails("nothing is left of another format", kPacked[0] + ".weight");
}

TEST_F(Verified, FindsIntegerTensors) {
  written_.set("norm.weight", i32({2}, {1, 1}));
  expect_fails("unquantized tensors are floating", "norm.weight is I32");
}

TEST_F(Verified, FindsAWrongIgnoreList) {
  change_config([](auto& c) { c["ignore"] = {"lm_head"}; });
  expect_fails("targets and ignore list", "l.0.mlp.gate is unquantized but not ignored");
  change_config([](auto& c) {
    c["ignore"] = {
        "lm_head",
        "re:.*mlp.*",
    };
  });
  expect_fails("targets and ignore list", "experts.0.gate_proj is quantized but ignored");
  change_config([](auto& c) { c["config_groups"]["group_0"]["targets"] = {"re:.*mlp.*"}; });
  expect_fails("targets and ignore list", "q_proj is quantized but no target");
}

TEST_F(Verified, FindsWrongConfigKeys) {
  const std::string name = "keys of quantization_config";
  change_config([](auto& c) { c["version"] = "1"; });
  expect_fails(name, "has the key version");
  change_config([](auto& c) { c.erase("kv_cache_scheme"); });
  expect_fails(name, "lacks kv_cache_scheme");
  change_config([](auto& c) { c["ignore"] = nullptr; });
  expect_fails(name, "ignore is no list");
  change_config([](auto& c) { c["quantization_status"] = "frozen"; });
  expect_fails(name, "not compressed");
  change_config([](auto& c) { c["config_groups"]["group_0"]["weights"]["actorder"] = "static"; });
  expect_fails(name, "actorder");
  change_config([](auto& c) { c["config_groups"]["group_0"]["weights"]["scale_dtype"] = nullptr; });
  expect_fails(name, "scale_dtype");
}

TEST_F(Verified, FindsConfigsThatCannotBeRead) {
  change_config([](auto& c) { c["config_groups"]["group_0"]["weights"]["num_bits"] = "four"; });
  expect_fails("quantization_config can be read", "num_bits");
  change_config([](auto& c) { c["ignore"] = {"re:("}; });
  expect_fails("quantization_config can be read", "re:(");
  written_.config(R"({"model_type":"x"})");
  expect_fails("quantization_config is there", "none");
}

TEST_F(Verified, FindsAWrongIndex) {
  const Checkpoint written = written_.open();
  const auto path = written_.folder().path() / "model.safetensors.index.json";
  auto index = nlohmann::json::parse(base::read_text_file(path));
  index["metadata"]["total_size"] = 7;
  base::write_file_atomic(path, index.dump());
  const std::vector<Check> checks = verify(written);
  EXPECT_EQ(checks[0].name, "index and shards");
  EXPECT_FALSE(checks[0].ok);
  EXPECT_NE(checks[0].detail.find("total_size is 7"), std::string::npos) << checks[0].detail;
}

TEST_F(Verified, FindsFilesLeftBehind) {
  written_.folder().write("tokenizer.json", "{} ");
  expect_fails("tokenizer and other files are carried over", "tokenizer.json differs");
  source_.folder().write("generation_config.json", "{}");
  expect_fails("tokenizer and other files are carried over", "generation_config.json is missing");
  std::filesystem::create_directories(source_.folder().path() / "additional_chat_templates");
  source_.folder().write("additional_chat_templates/tool_use.jinja", "{}");
  expect_fails("tokenizer and other files are carried over",
               "additional_chat_templates/tool_use.jinja is missing");
  nlohmann::json config = good_config();
  config["hidden_size"] = 1;
  written_.config(config.dump());
  expect_fails("config.json is the source's", "hidden_size is not in the source");
}

}  // namespace
}  // namespace whit::formats
