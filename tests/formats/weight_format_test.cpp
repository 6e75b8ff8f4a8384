#include "formats/weight_format.h"

#include "base/error.h"
#include "formats/model_folder.h"
#include "formats/packed_reader.h"
#include "formats/verify.h"

namespace whit::formats {
namespace {

using namespace testing;
using scheme::QuantArgs;
using scheme::ScaledFloat8;
using scheme::Strategy;

QuantArgs float8(Strategy strategy, bool dynamic = false) {
  QuantArgs args{8, scheme::NumberType::kFloat, true, strategy, 0, 0, 0, dynamic};
  if (strategy == Strategy::kBlock) args.block_rows = args.block_cols = 2;
  if (strategy == Strategy::kGroup) args.group_size = 2;
  return args;
}

// [3, 5], every code its own; as many scales as the strategy has.
ScaledFloat8 float8_weight(Strategy strategy) {
  ScaledFloat8 w;
  w.strategy = strategy;
  w.block_rows = strategy == Strategy::kTensor ? 3 : strategy == Strategy::kChannel ? 1 : 2;
  w.block_cols = strategy == Strategy::kBlock ? 2 : 5;
  w.codes = Tensor({3, 5}, Dtype::kF8E4M3);
  for (int i = 0; i < 15; ++i) w.codes.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(0x30 + i);
  const Shape grid{strategy == Strategy::kTensor    ? 1
                   : strategy == Strategy::kChannel ? 3
                                                    : 2,
                   strategy == Strategy::kBlock ? 3 : 1};
  std::vector<float> scales;
  for (std::int64_t i = 0; i < tensor::element_count(grid); ++i)
    scales.push_back(0.5F + static_cast<float>(i));
  w.scales = f32(grid, scales);
  return w;
}

QuantizationConfig config_of(WeightFormat format, Strategy strategy,
                             std::optional<QuantArgs> inputs,
                             std::vector<std::string> ignore = {}) {
  return uniform_config(format, {float8(strategy), inputs}, std::move(ignore));
}

TEST(WeightFormat, WhatIsWrittenIsRead) {
  for (const WeightFormat format : {WeightFormat::kFloatQuantized, WeightFormat::kHfFp8})
    for (const Strategy strategy : {Strategy::kTensor, Strategy::kChannel, Strategy::kBlock}) {
      const ScaledFloat8 before = float8_weight(strategy);
      ModelFolder folder;
      folder.add(encode_weight(format, "m.q_proj", float8_weight(strategy)));
      folder.quantization(to_json(config_of(format, strategy, std::nullopt)).dump());
      const Checkpoint checkpoint = folder.open();
      for (const auto& entry :
           weight_layout(format, "m.q_proj", 3, 5, {float8(strategy), {}}, Dtype::kF32)) {
        EXPECT_EQ(checkpoint.info(entry.name).shape, entry.shape) << entry.name;
        EXPECT_EQ(checkpoint.info(entry.name).dtype, entry.dtype) << entry.name;
      }
      const auto after = PackedReader(checkpoint).read("m.q_proj");
      ASSERT_TRUE(after);
      const auto& w = std::get<ScaledFloat8>(*after);
      EXPECT_EQ(w.strategy, strategy);
      EXPECT_EQ(w.block_rows, before.block_rows);
      EXPECT_EQ(w.block_cols, before.block_cols);
      expect_same(w.codes, before.codes);
      expect_same(w.scales, before.scales);
    }
}

TEST(WeightFormat, NamesAndShapesOnDisk) {
  const auto tensor =
      encode_weight(WeightFormat::kFloatQuantized, "m", float8_weight(Strategy::kTensor), 0.25F);
  ASSERT_EQ(tensor.size(), 3U);
  EXPECT_EQ(tensor[1].name, "m.weight_scale");
  EXPECT_EQ(tensor[1].tensor.shape(), (Shape{1}));
  EXPECT_EQ(tensor[2].name, "m.input_scale");
  EXPECT_EQ(tensor[2].tensor.as<float>()[0], 0.25F);
  const auto block = encode_weight(WeightFormat::kHfFp8, "m", float8_weight(Strategy::kBlock));
  EXPECT_EQ(block[1].name, "m.weight_scale_inv");
  EXPECT_EQ(block[1].tensor.shape(), (Shape{2, 3}));
  EXPECT_EQ(weight_format_from_name("hf-fp8"), WeightFormat::kHfFp8);
  EXPECT_FALSE(weight_format_from_name("gguf"));
}

QuantizationConfig read_back(const QuantizationConfig& config) {
  return parse_quantization_config(nlohmann::json::parse(to_json(config).dump()), "config.json");
}

TEST(WeightFormat, ConfigsAreReadBack) {
  QuantizationConfig config = config_of(WeightFormat::kFloatQuantized, Strategy::kChannel,
                                        float8(Strategy::kToken, true), {"lm_head"});
  config.kv_cache = float8(Strategy::kTensor);
  config.gaudi2_codes = true;
  EXPECT_EQ(read_back(config), config);
  const QuantizationConfig blocks = config_of(WeightFormat::kHfFp8, Strategy::kBlock,
                                              float8(Strategy::kGroup, true), {"lm_head", "gate"});
  const auto json = to_json(blocks);
  EXPECT_EQ(json.dump(),
            R"({"quant_method":"fp8","fmt":"e4m3","activation_scheme":"dynamic",)"
            R"("weight_block_size":[2,2],"modules_to_not_convert":["lm_head","gate"]})");
  EXPECT_EQ(read_back(blocks), blocks);
  const QuantizationConfig fixed =
      config_of(WeightFormat::kHfFp8, Strategy::kTensor, float8(Strategy::kTensor));
  EXPECT_EQ(to_json(fixed)["activation_scheme"], "static");
  EXPECT_EQ(read_back(fixed), fixed);
}

// The worked example of docs/formats/inc.md.
TEST(WeightFormat, IncsLayout) {
  scheme::QuantizedWeight written = ScaledFloat8{};
  auto& w = std::get<ScaledFloat8>(written);
  w.strategy = Strategy::kTensor;
  w.block_rows = 2;
  w.block_cols = 3;
  w.codes = f8({2, 3}, {0x38, 0x40, 0xb8, 0x30, 0x00, 0x76});
  w.scales = f32({1, 1}, {1.0F / 256});
  ModelFolder folder;
  folder.add(encode_weight(WeightFormat::kInc, "m.self_attn.o_proj", written, 1.0F / 16));
  folder.add(encode_cache(WeightFormat::kInc, "m.self_attn", true, 0.5F, 9));
  QuantizationConfig config =
      config_of(WeightFormat::kInc, Strategy::kTensor, float8(Strategy::kTensor), {"re:.*gate$"});
  config.scale_method = "MAXABS_HW";
  config.gaudi2_codes = true;
  folder.quantization(to_json(config).dump());
  EXPECT_EQ(to_json(config)["blocklist"]["names"], nlohmann::ordered_json({"^.*gate$"}));
  const Checkpoint checkpoint = folder.open();
  const auto stored = checkpoint.view("m.self_attn.o_proj.weight");
  EXPECT_EQ(stored.shape, (Shape{3, 2}));
  const std::vector<std::uint8_t> bytes{0x38, 0x30, 0x40, 0x00, 0xb8, 0x76};
  EXPECT_TRUE(
      std::equal(bytes.begin(), bytes.end(), reinterpret_cast<const std::uint8_t*>(stored.data)));
  const PackedReader reader(checkpoint);
  const auto read = std::get<ScaledFloat8>(*reader.read("m.self_attn.o_proj"));
  expect_same(read.codes, w.codes);
  expect_same(read.scales, w.scales);
  const auto rounding = reader.input_rounding("m.self_attn.o_proj");
  ASSERT_TRUE(rounding);
  EXPECT_EQ(*rounding, (scheme::Float8Rounding{Dtype::kF8E4M3, 240, 1.0F / 16, 0}));
  EXPECT_EQ(reader.cache_rounding("m.self_attn")->key.scale, 0.5F);
  EXPECT_FALSE(reader.cache_rounding("m.other"));
  EXPECT_EQ(reader.cache_tensors().size(), 2U);
  for (const auto& check : verify(checkpoint, nullptr))
    EXPECT_TRUE(check.ok) << check.name << ": " << check.detail;
}

class Roundings : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_.add(encode_weight(WeightFormat::kFloatQuantized, "l.self_attn.o_proj",
                              float8_weight(Strategy::kTensor), 0.25F));
  }
  void config(const QuantizationConfig& config) { folder_.quantization(to_json(config).dump()); }

  ModelFolder folder_;
};

TEST_F(Roundings, OfInputs) {
  config(config_of(WeightFormat::kFloatQuantized, Strategy::kTensor, float8(Strategy::kTensor)));
  {
    const Checkpoint checkpoint = folder_.open();
    const auto rounding = PackedReader(checkpoint).input_rounding("l.self_attn.o_proj");
    ASSERT_TRUE(rounding);
    EXPECT_EQ(rounding->scale, 0.25F);
    EXPECT_EQ(rounding->limit, 448);
    EXPECT_FALSE(PackedReader(checkpoint).input_rounding("lm_head"));
  }
  auto dynamic =
      config_of(WeightFormat::kFloatQuantized, Strategy::kTensor, float8(Strategy::kToken, true));
  dynamic.gaudi2_codes = true;
  config(dynamic);
  {
    const Checkpoint checkpoint = folder_.open();
    const auto rounding = PackedReader(checkpoint).input_rounding("l.self_attn.o_proj");
    ASSERT_TRUE(rounding);
    EXPECT_EQ(*rounding, (scheme::Float8Rounding{Dtype::kF8E4M3, 240, 0, 0}));
  }
}

TEST_F(Roundings, StaticScalesMustBeThereAndPositive) {
  config(config_of(WeightFormat::kFloatQuantized, Strategy::kTensor, float8(Strategy::kTensor)));
  const auto reading = [&] {
    const Checkpoint checkpoint = folder_.open();
    PackedReader(checkpoint).input_rounding("l.self_attn.o_proj");
  };
  folder_.set("l.self_attn.o_proj.input_scale", f32({1}, {0}));
  EXPECT_THROW(reading(), base::Error);
  folder_.erase("l.self_attn.o_proj.input_scale");
  EXPECT_THROW(reading(), base::Error);
}

TEST_F(Roundings, OfCaches) {
  auto with_cache = config_of(WeightFormat::kFloatQuantized, Strategy::kTensor, std::nullopt);
  with_cache.kv_cache = float8(Strategy::kTensor);
  config(with_cache);
  const auto cache = [&] {
    const Checkpoint checkpoint = folder_.open();
    return *PackedReader(checkpoint).cache_rounding("l.self_attn");
  };
  EXPECT_FALSE(cache().scaled);
  EXPECT_EQ(cache().key.scale, 1);
  folder_.set("l.self_attn.kv_scale", f32({1}, {0.5F}));
  EXPECT_EQ(cache().value.scale, 0.5F);
  folder_.set("l.self_attn.k_scale", f32({1}, {0.125F}));
  EXPECT_EQ(cache().key.scale, 0.125F);
  folder_.set("l.self_attn.v_scale", f32({1}, {2}));
  EXPECT_EQ(cache().value.scale, 2);
  EXPECT_TRUE(cache().scaled);
}

// What verify says of a checkpoint with static scales, a cache and Gaudi2's codes.
TEST_F(Roundings, AreVerified) {
  auto config_all =
      config_of(WeightFormat::kFloatQuantized, Strategy::kTensor, float8(Strategy::kTensor));
  config_all.kv_cache = float8(Strategy::kTensor);
  config_all.gaudi2_codes = true;
  config(config_all);
  const auto failed = [&] {
    std::vector<std::string> names;
    const Checkpoint checkpoint = folder_.open();
    for (const auto& check : verify(checkpoint, nullptr))
      if (!check.ok) names.push_back(check.name);
    return names;
  };
  EXPECT_EQ(failed(), (std::vector<std::string>{"scales of the KV cache"}));
  folder_.set("l.self_attn.k_scale", f32({1}, {1}));
  folder_.set("l.self_attn.v_scale", f32({1}, {1}));
  EXPECT_EQ(failed(), std::vector<std::string>{});
  Tensor codes({3, 5}, Dtype::kF8E4M3);
  codes.as<std::uint8_t>()[3] = 0x78;
  folder_.set("l.self_attn.o_proj.weight", std::move(codes));
  EXPECT_EQ(failed(), (std::vector<std::string>{"FP8 codes are numbers of the target"}));
}

}  // namespace
}  // namespace whit::formats
