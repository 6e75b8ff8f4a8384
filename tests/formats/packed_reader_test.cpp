#include "formats/packed_reader.h"

#include "formats/bit_packing.h"
#include "formats/model_folder.h"

namespace whit::formats {
namespace {

using base::ErrorKind;
using scheme::GroupedInt;
using scheme::ScaledFloat8;
using scheme::Strategy;
using namespace testing;

GroupedInt read_int(const ModelFolder& model) {
  const Checkpoint checkpoint = model.open();
  return std::get<GroupedInt>(PackedReader(checkpoint).read("m").value());
}
ScaledFloat8 read_f8(const ModelFolder& model) {
  const Checkpoint checkpoint = model.open();
  return std::get<ScaledFloat8>(PackedReader(checkpoint).read("m").value());
}

template <typename Weight>
std::vector<float> decoded(Weight weight) {
  return values_in<float>(scheme::decode(scheme::QuantizedWeight(std::move(weight))));
}

// One row of eight int4 codes in two groups.
class PackedModule : public ::testing::Test {
 protected:
  void SetUp() override {
    model_.set("m.weight_packed", words({1, 1}, {0x94D8FA1C}));
    model_.set("m.weight_scale", f32({1, 2}, {.5F, 2.0F}));
    model_.set("m.weight_shape", i64({2}, {1, 8}));
    model_.quantization(int_config(4, true, "group", 4));
  }
  void expect_refused(ErrorKind kind, const std::string& tensor, std::string_view detail) {
    const Checkpoint checkpoint = model_.open();
    const PackedReader reader(checkpoint);
    const std::string subject = model_.folder().path().string();
    expect_error(kind, "tensor " + tensor, detail, [&] { reader.read("m"); });
    expect_error(kind, subject, detail, [&] { reader.read("m"); });
  }
  ModelFolder model_;
};

TEST_F(PackedModule, Reads) {
  GroupedInt w = read_int(model_);
  EXPECT_EQ(values_in<std::int8_t>(w.codes), (std::vector<std::int8_t>{4, -7, 2, 7, 0, 5, -4, 1}));
  EXPECT_EQ(w.group_size, 4);
  EXPECT_TRUE(w.symmetric());
  EXPECT_EQ(decoded(std::move(w)), (std::vector<float>{2, -3.5F, 1, 3.5F, 0, 10, -8, 2}));
}

TEST_F(PackedModule, ListsItsTensors) {
  model_.set("n.weight", bf16({1}, {0}));
  model_.set("m.bias", bf16({1}, {0}));
  const Checkpoint checkpoint = model_.open();
  const PackedReader reader(checkpoint);
  EXPECT_EQ(reader.modules(), std::vector<std::string>{"m"});
  EXPECT_TRUE(reader.is_quantized("m"));
  EXPECT_FALSE(reader.is_quantized("n"));
  EXPECT_EQ(reader.tensors_of("m"),
            (std::vector<std::string>{"m.weight_packed", "m.weight_scale", "m.weight_shape"}));
  EXPECT_TRUE(reader.tensors_of("n").empty());
  EXPECT_FALSE(reader.read("n").has_value());
}

TEST_F(PackedModule, AppliesAGroupIndex) {
  model_.set("m.weight_packed", words({1, 1}, {0x00009999}));
  model_.set("m.weight_shape", i64({2}, {1, 4}));
  model_.set("m.weight_g_idx", i32({4}, {0, 1, 0, 1}));
  model_.quantization(int_config(4, true, "group", 2));
  EXPECT_EQ(decoded(read_int(model_)), (std::vector<float>{.5F, 2, .5F, 2}));
  model_.set("m.weight_g_idx", i32({4}, {-1, -1, -1, -1}));
  EXPECT_EQ(decoded(read_int(model_)), (std::vector<float>{.5F, .5F, 2, 2}));
  model_.set("m.weight_g_idx", i32({4}, {0, 0, 1, 1}));
  EXPECT_EQ(read_int(model_).group_size, 2);
  model_.set("m.weight_g_idx", i32({4}, {0, 2, 0, 1}));
  expect_refused(ErrorKind::kInput, "m.weight_g_idx", "element 1 is 2; expected a group of 0..1");
  model_.set("m.weight_g_idx", i32({3}, {0, 1, 0}));
  expect_refused(ErrorKind::kInput, "m.weight_g_idx", "expected I32 [4]");
}

TEST_F(PackedModule, AppliesAGroupIndexToZeroPoints) {
  model_.set("m.weight_packed", words({1, 1}, {0x00009999}));
  model_.set("m.weight_shape", i64({2}, {1, 4}));
  model_.set("m.weight_g_idx", i32({4}, {0, 1, 0, 1}));
  model_.set("m.weight_zero_point", words({1, 2}, {0x8, 0x7}));
  model_.quantization(int_config(4, false, "group", 2));
  EXPECT_EQ(decoded(read_int(model_)), (std::vector<float>{.5F, 4, .5F, 4}));
}

TEST_F(PackedModule, PassesOverZeroPointsOfSymmetricSchemes) {
  model_.set("m.weight_zero_point", words({1, 2}, {0x8, 0x8}));
  EXPECT_TRUE(read_int(model_).symmetric());
  model_.set("m.weight_zero_point", i8({1, 2}, {0, 0}));
  EXPECT_TRUE(read_int(model_).symmetric());
  model_.set("m.weight_zero_point", words({1, 2}, {0x8, 0x9}));
  expect_refused(ErrorKind::kInput, "m.weight_zero_point", "symmetric");
}

TEST_F(PackedModule, ReadsThreeBitsTenToAWord) {
  // 32 codes in 4 words of ten fields (dense needs 3).
  std::vector<std::int8_t> codes;
  std::vector<std::uint32_t> packed(4);
  for (unsigned k = 0; k < 32; ++k) {
    const unsigned field = (k * 5 + 1) % 8;
    packed[k / 10] |= field << (k % 10 * 3);
    codes.push_back(static_cast<std::int8_t>(static_cast<int>(field) - 4));
  }
  model_.set("m.weight_packed", words({1, 4}, packed));
  model_.set("m.weight_shape", i64({2}, {1, 32}));
  model_.quantization(int_config(3, true, "group", 16));
  EXPECT_EQ(values_in<std::int8_t>(read_int(model_).codes), codes);
}

TEST_F(PackedModule, NeedsNoConfig) {
  model_.config("{}");
  GroupedInt w = read_int(model_);
  EXPECT_EQ(w.bits, 4);
  EXPECT_EQ(w.group_size, 4);
}

TEST_F(PackedModule, RefusesWhatDoesNotFit) {
  model_.set("m.weight_shape", i64({2}, {1, 9}));
  expect_refused(ErrorKind::kInput, "m.weight_packed", "1 words a row; 9 columns of 4 bits need 2");
  model_.set("m.weight_shape", i64({2}, {1, std::int64_t{1} << 62}));
  expect_refused(ErrorKind::kInput, "m.weight_packed", "columns");
  model_.set("m.weight_shape", i64({2}, {2, 8}));
  expect_refused(ErrorKind::kInput, "m.weight_packed", "1 rows; weight_shape says 2");
  model_.set("m.weight_shape", i64({2}, {1, -8}));
  expect_refused(ErrorKind::kInput, "m.weight_shape", "expected positive extents");
  model_.set("m.weight_shape", i64({3}, {1, 8, 1}));
  expect_refused(ErrorKind::kInput, "m.weight_shape", "expected I64 [2]");
  model_.erase("m.weight_shape");
  expect_refused(ErrorKind::kInput, "m.weight_shape", "missing");
}

TEST_F(PackedModule, RefusesWrongScales) {
  model_.set("m.weight_scale", f32({1, 1}, {1}));
  expect_refused(ErrorKind::kInput, "m.weight_scale",
                 "shape [1, 1]; expected [1, 2] (groups of 4)");
  model_.set("m.weight_scale", f32({1, 2}, {1, NAN}));
  expect_refused(ErrorKind::kInput, "m.weight_scale", "element 1 is nan");
  model_.set("m.weight_scale", i32({1, 2}, {1, 1}));
  expect_refused(ErrorKind::kInput, "m.weight_scale", "expected a floating type");
  model_.erase("m.weight_scale");
  expect_refused(ErrorKind::kInput, "m.weight_scale", "missing");
}

TEST_F(PackedModule, RefusesWrongZeroPoints) {
  model_.quantization(int_config(4, false, "group", 4));
  expect_refused(ErrorKind::kInput, "m.weight_zero_point", "missing; the config says asymmetric");
  model_.set("m.weight_zero_point", words({2, 2}, {0, 0, 0, 0}));
  expect_refused(ErrorKind::kInput, "m.weight_zero_point", "expected I32 [1, 2]");
  model_.set("m.weight_zero_point", i8({1, 2}, {0, 9}));
  expect_refused(ErrorKind::kInput, "m.weight_zero_point", "zero point 9");
}

TEST_F(PackedModule, RefusesOtherRanksAndFormats) {
  model_.set("m.weight_packed", words({1, 1, 1}, {0}));
  expect_refused(ErrorKind::kUnsupported, "m.weight_packed", "expected [rows, words]");
  model_.set("m.weight_packed", make<std::uint8_t>(Dtype::kU8, {1, 4}, {0, 0, 0, 0}));
  const Checkpoint checkpoint = model_.open();
  expect_error(ErrorKind::kUnsupported, "module m", "mxfp4-pack-quantized",
               [&] { PackedReader(checkpoint).read("m"); });
}

TEST(PlainInt, ReadsInt8Weights) {
  ModelFolder model;
  model.set("m.weight", i8({2, 2}, {1, -2, 3, -128}));
  model.set("m.weight_scale", f32({2, 1}, {.5F, 2}));
  GroupedInt w = read_int(model);
  EXPECT_TRUE(w.channel);
  EXPECT_EQ(decoded(std::move(w)), (std::vector<float>{.5F, -1, 6, -256}));
}

// FP8 channel example with a bf16 scale: 6E F9 4E 7E.
TEST(Float8, ReadsTheWorkedChannelExample) {
  ModelFolder model;
  model.set("m.weight", f8({2, 4}, {0x6E, 0xF9, 0x4E, 0x7E, 0x38, 0xB8, 0x01, 0x00}));
  model.set("m.weight_scale", bf16({2, 1}, {0x3B92, 0x3F80}));
  ScaledFloat8 w = read_f8(model);
  EXPECT_EQ(w.strategy, Strategy::kChannel);
  const std::vector<float> values = decoded(std::move(w));
  const std::vector<float> expected{0.499023F, -1.283203F, 0.031189F, 1.996094F, 1, -1, 0x1p-9F, 0};
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], 5e-7) << i;
}

TEST(Float8, ReadsDeepSeeksRaggedBlocks) {
  ModelFolder model;
  model.quantization(R"({"quant_method":"fp8","fmt":"e4m3","weight_block_size":[2,2]})");
  model.set("m.weight", f8({3, 3}, std::vector<std::uint8_t>(9, 0x38)));
  model.set("m.weight_scale_inv", f32({2, 2}, {1, 2, 3, 4}));
  EXPECT_EQ(decoded(read_f8(model)), (std::vector<float>{1, 1, 2, 1, 1, 2, 3, 3, 4}));
  // Scales of a padded export: what lies outside belongs to nothing.
  model.set("m.weight_scale_inv", f32({3, 3}, {1, 2, 9, 3, 4, 9, 9, 9, 9}));
  EXPECT_EQ(decoded(read_f8(model)), (std::vector<float>{1, 1, 2, 1, 1, 2, 3, 3, 4}));
  model.set("m.weight_scale_inv", f32({2, 1}, {1, 2}));
  const Checkpoint checkpoint = model.open();
  expect_error(ErrorKind::kInput, "tensor m.weight_scale_inv", "need [2, 2]",
               [&] { PackedReader(checkpoint).read("m"); });
}

TEST(Float8, InfersBlocksWithoutAConfig) {
  ModelFolder model;
  model.set("m.weight", f8({4, 6}, std::vector<std::uint8_t>(24, 0x38)));
  model.set("m.weight_scale", f32({2, 2}, {1, 2, 3, 4}));
  ScaledFloat8 w = read_f8(model);
  EXPECT_EQ(w.block_rows, 2);
  EXPECT_EQ(w.block_cols, 3);
  model.set("m.weight", f8({130, 129}, std::vector<std::uint8_t>(130 * 129, 0x38)));
  EXPECT_EQ(read_f8(model).block_cols, 128);
  model.set("m.weight_scale", f32({3, 2}, {1, 2, 3, 4, 5, 6}));
  const Checkpoint checkpoint = model.open();
  expect_error(ErrorKind::kInput, "tensor m.weight_scale", "fits no blocks",
               [&] { PackedReader(checkpoint).read("m"); });
}

TEST(Float8, ReadsScalarsOfAnyRank) {
  ModelFolder model;
  model.quantization(R"({"quant_method":"fp8"})");
  model.set("m.weight", f8({1, 3}, {0x38, 0xB8, 0x40}));
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{1, 1}}) {
    model.set("m.weight_scale", f32(shape, {.5F}));
    ScaledFloat8 w = read_f8(model);
    EXPECT_EQ(w.strategy, Strategy::kTensor);
    EXPECT_EQ(decoded(std::move(w)), (std::vector<float>{.5F, -.5F, 1}));
  }
}

TEST(Float8, NeedsExactlyOneScale) {
  ModelFolder model;
  model.set("m.weight", f8({1, 1}, {0x38}));
  const auto refused = [&](std::string_view detail) {
    const Checkpoint checkpoint = model.open();
    expect_error(ErrorKind::kInput, "tensor m.weight", detail,
                 [&] { PackedReader(checkpoint).read("m"); });
  };
  refused("has neither");
  model.set("m.weight_scale", f32({1}, {1}));
  model.set("m.weight_scale_inv", f32({1}, {1}));
  refused("has both");
}

TEST(Foreign, IsNamed) {
  for (const auto& [suffix, format] :
       std::map<std::string, std::string>{{"qweight", "awq"}, {"weight", "ModelOpt"}}) {
    ModelFolder model;
    model.set("m." + suffix, make<std::uint8_t>(Dtype::kU8, {1, 4}, {0, 0, 0, 0}));
    model.set("m.weight_scale", f32({1}, {1}));
    const Checkpoint checkpoint = model.open();
    expect_error(ErrorKind::kUnsupported, "module m", format,
                 [&] { PackedReader(checkpoint).read("m"); });
  }
}

TEST(Demo, EveryFp8ModuleReads) {
  const Checkpoint checkpoint =
      Checkpoint::open(std::filesystem::path(WHIT_SOURCE_DIR) / "demo/moe-15m");
  const PackedReader reader(checkpoint);
  EXPECT_EQ(reader.modules().size(), 344U);
  for (const std::string& module : reader.modules()) {
    const auto weight = reader.read(module);
    const auto& f8_weight = std::get<ScaledFloat8>(*weight);
    EXPECT_EQ(f8_weight.block_rows, 128);
    EXPECT_EQ(reader.tensors_of(module).size(), 2U);
  }
}

}  // namespace
}  // namespace whit::formats
