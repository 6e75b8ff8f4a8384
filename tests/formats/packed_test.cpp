#include "formats/packed.h"

#include <random>

#include "formats/bit_packing.h"
#include "formats/model_folder.h"
#include "formats/packed_reader.h"
#include "numeric/float_codec.h"

// Numbers of the worked cases: compressed-tensors' own, computed by hand and by the package.
namespace whit::formats {
namespace {

using base::ErrorKind;
using scheme::GroupedInt;
using scheme::Strategy;
using namespace testing;

std::vector<std::uint32_t> pack(std::vector<std::int8_t> codes, int bits) {
  const auto count = static_cast<std::int64_t>(codes.size());
  std::vector<std::uint32_t> out(
      static_cast<std::size_t>(words_of(count, bits, WordPacking::kDense)));
  pack_codes(codes.data(), 1, count, bits, out.data(), 1);
  return out;
}

std::vector<std::int8_t> repeated(const std::vector<std::int8_t>& row, int times) {
  std::vector<std::int8_t> out;
  for (int i = 0; i < times; ++i) out.insert(out.end(), row.begin(), row.end());
  return out;
}

using Words = std::vector<std::uint32_t>;

TEST(WorkedBits, Int4) {
  EXPECT_EQ(pack({-8, -7, -1, 0, 1, 2, 6, 7}, 4), Words{0xFEA98710});
  EXPECT_EQ(static_cast<std::int32_t>(pack({-8, -7, -1, 0, 1, 2, 6, 7}, 4)[0]), -22444272);
}
TEST(WorkedBits, Int8) {
  EXPECT_EQ(pack({-128, -1, 0, 127}, 8), Words{0xFF807F00});
  EXPECT_EQ(static_cast<std::int32_t>(pack({-128, -1, 0, 127}, 8)[0]), -8356096);
}
TEST(WorkedBits, Int3IsDense) {
  EXPECT_EQ(pack(repeated({-4, -3, -2, -1, 0, 1, 2, 3}, 4), 3),
            (Words{0x88FAC688, 0xC688FAC6, 0xFAC688FA}));
}
TEST(WorkedBits, Int2) {
  EXPECT_EQ(pack(repeated({-2, -1, 0, 1}, 4), 2), Words{0xE4E4E4E4});
}
TEST(WorkedBits, PaddingIsZeroBits) {
  EXPECT_EQ(pack(std::vector<std::int8_t>(12, 0), 4), (Words{0x88888888, 0x00008888}));
}

TEST(BitPacking, UnpacksBothPackings) {
  std::mt19937 random(1);
  for (int bits = 1; bits <= 8; ++bits)
    for (const std::int64_t count : {1, 7, 8, 10, 11, 31, 32, 33, 64, 100}) {
      std::vector<std::int8_t> codes(static_cast<std::size_t>(count));
      std::uniform_int_distribution<int> code(scheme::code_min(bits), scheme::code_max(bits));
      for (auto& c : codes) c = static_cast<std::int8_t>(code(random));
      std::vector<std::int8_t> back(codes.size());
      unpack_codes(pack(codes, bits).data(), 1, count, bits, WordPacking::kDense, back.data(), 1);
      EXPECT_EQ(back, codes) << bits << " bits, " << count;

      Words whole(static_cast<std::size_t>(words_of(count, bits, WordPacking::kWholeElements)));
      for (std::size_t i = 0; i < codes.size(); ++i) {
        const std::size_t fields = static_cast<std::size_t>(32 / bits);
        whole[i / fields] |= static_cast<std::uint32_t>(codes[i] + (1 << (bits - 1)))
                             << (static_cast<int>(i % fields) * bits);
      }
      unpack_codes(whole.data(), 1, count, bits, WordPacking::kWholeElements, back.data(), 1);
      EXPECT_EQ(back, codes) << bits << " bits, " << count << ", whole elements";
    }
}

TEST(BitPacking, TellsPackingsApartByTheirWords) {
  EXPECT_EQ(packing_of(128, 3, 12), WordPacking::kDense);
  EXPECT_EQ(packing_of(128, 3, 13), WordPacking::kWholeElements);
  EXPECT_EQ(packing_of(128, 4, 16), WordPacking::kDense);
  EXPECT_EQ(packing_of(128, 4, 17), std::nullopt);
}

GroupedInt weight_of(int bits, std::int64_t group_size, Tensor codes, Tensor scales,
                     Tensor zeros = {}) {
  GroupedInt weight;
  weight.bits = bits;
  weight.group_size = group_size;
  weight.codes = std::move(codes);
  weight.scales = std::move(scales);
  weight.zeros = std::move(zeros);
  return weight;
}

// Rows -8..-1 have zero point -8..-1 in the first group and 0..7 in the second.
TEST(Encode, WorkedZeroPointsArePackedAlongRows) {
  std::vector<std::int8_t> zeros;
  for (int row = 0; row < 8; ++row) {
    zeros.push_back(static_cast<std::int8_t>(row - 8));
    zeros.push_back(static_cast<std::int8_t>(row));
  }
  const auto tensors =
      encode_packed("m", weight_of(4, 8, i8({8, 16}, std::vector<std::int8_t>(128, 0)),
                                   f32({8, 2}, std::vector<float>(16, 1.0F)), i8({8, 2}, zeros)));
  ASSERT_EQ(tensors.size(), 4U);
  EXPECT_EQ(tensors[3].name, "m.weight_zero_point");
  EXPECT_EQ(tensors[3].tensor.shape(), (Shape{1, 2}));
  EXPECT_EQ(words_in(tensors[3].tensor), (Words{0x76543210, 0xFEDCBA98}));
}

TEST(Encode, WorkedGroupOfEight) {
  const float scale = numeric::bf16_to_f32(0x3D24);
  EXPECT_EQ(scale, .0400390625F);
  const std::vector<float> w{.15F, -.30F, .07F, .29F, -.01F, .22F, -.18F, .05F};
  std::vector<std::int8_t> codes;
  for (const float value : w)
    codes.push_back(static_cast<std::int8_t>(std::nearbyint(value / scale)));
  EXPECT_EQ(codes, (std::vector<std::int8_t>{4, -7, 2, 7, 0, 5, -4, 1}));
  const auto tensors =
      encode_packed("a.b", weight_of(4, 8, i8({1, 8}, codes), f32({1, 1}, {scale})));
  ASSERT_EQ(tensors.size(), 3U);
  EXPECT_EQ(tensors[0].name, "a.b.weight_packed");
  EXPECT_EQ(words_in(tensors[0].tensor), Words{0x94D8FA1C});
  EXPECT_EQ(tensors[1].name, "a.b.weight_scale");
  EXPECT_EQ(tensors[1].tensor.dtype(), Dtype::kBF16);
  EXPECT_EQ(tensors[1].tensor.as<std::uint16_t>()[0], 0x3D24);
  EXPECT_EQ(tensors[2].name, "a.b.weight_shape");
  EXPECT_EQ(values_in<std::int64_t>(tensors[2].tensor), (std::vector<std::int64_t>{1, 8}));
}

TEST(Encode, WorkedAsymmetricGroup) {
  const float scale = numeric::round_to_bf16(.59F / 15);
  EXPECT_EQ(scale, .039306640625F);
  const auto tensors = encode_packed("m", weight_of(4, 8, i8({1, 8}, {4, -8, 2, 7, 0, 6, -5, 1}),
                                                    f32({1, 1}, {scale}), i8({1, 1}, {0})));
  EXPECT_EQ(words_in(tensors[0].tensor), Words{0x93E8FA0C});
  EXPECT_EQ(words_in(tensors[3].tensor), Words{0x00000008});
}

TEST(Encode, RefusesScalesThatItsDtypeCannotHold) {
  EXPECT_THROW(encode_packed("m", weight_of(4, 8, i8({1, 8}, std::vector<std::int8_t>(8)),
                                            f32({1, 1}, {.1F}))),
               base::Error);
  EXPECT_THROW(encode_packed("m", weight_of(4, 8, i8({1, 8}, std::vector<std::int8_t>(8, 8)),
                                            f32({1, 1}, {1}))),
               base::Error);
}

TEST(Layout, IsWhatEncodeMakes) {
  scheme::QuantArgs args;
  args.num_bits = 4;
  args.group_size = 8;
  args.symmetric = false;
  const auto layout = packed_layout("m", 9, 16, args, Dtype::kF16);
  ASSERT_EQ(layout.size(), 4U);
  EXPECT_EQ(layout[0].shape, (Shape{9, 2}));
  EXPECT_EQ(layout[1].shape, (Shape{9, 2}));
  EXPECT_EQ(layout[1].dtype, Dtype::kF16);
  EXPECT_EQ(layout[2].dtype, Dtype::kI64);
  EXPECT_EQ(layout[3].shape, (Shape{2, 2}));
  args.strategy = Strategy::kTensor;
  args.group_size = 0;
  const auto whole = packed_layout("m", 9, 16, args, Dtype::kBF16);
  EXPECT_EQ(whole[1].shape, (Shape{1}));
  EXPECT_EQ(whole[3].shape, (Shape{1}));
  EXPECT_EQ(whole[3].dtype, Dtype::kI8);
}

TEST(Layout, ChecksWhatIsWritable) {
  scheme::QuantArgs args;
  args.group_size = 128;
  check_writable(args, 256, "m");
  const auto refused = [&](std::int64_t cols, std::string_view detail) {
    expect_error(ErrorKind::kUnsupported, "m", detail, [&] { check_writable(args, cols, "m"); });
  };
  refused(200, "group size 128 does not divide 200");
  args.num_bits = 3;
  refused(256, "3 bits");
  args.num_bits = 8;
  args.strategy = Strategy::kBlock;
  refused(256, "strategy block");
}

struct LawCase {
  int bits;
  bool symmetric;
  Strategy strategy;
  Dtype scale_dtype;
};

float exact_in(Dtype dtype, float value) {
  if (dtype == Dtype::kBF16) return numeric::round_to_bf16(value);
  return dtype == Dtype::kF16 ? numeric::f16_to_f32(numeric::f32_to_f16(value)) : value;
}

GroupedInt random_weight(const LawCase& c, std::int64_t rows, std::int64_t cols,
                         std::int64_t group_size, std::mt19937* random) {
  const std::int64_t groups = c.strategy == Strategy::kGroup ? cols / group_size : 1;
  GroupedInt w = weight_of(c.bits, c.strategy == Strategy::kGroup ? group_size : cols,
                           Tensor({rows, cols}, Dtype::kI8), Tensor({rows, groups}, Dtype::kF32));
  w.channel = c.strategy != Strategy::kGroup;
  w.scale_dtype = c.scale_dtype;
  std::uniform_int_distribution<int> code(scheme::code_min(c.bits), scheme::code_max(c.bits));
  std::uniform_real_distribution<float> scale(.001F, .1F);
  const auto fill = [&](Tensor& t) {
    for (std::int64_t i = 0; i < t.elements(); ++i)
      t.as<std::int8_t>()[i] = static_cast<std::int8_t>(code(*random));
  };
  fill(w.codes);
  if (!c.symmetric) {
    w.zeros = Tensor({rows, groups}, Dtype::kI8);
    fill(w.zeros);
  }
  const bool whole = c.strategy == Strategy::kTensor;
  for (std::int64_t i = 0; i < w.scales.elements(); ++i) {
    w.scales.as<float>()[i] =
        whole && i > 0 ? w.scales.as<float>()[0] : exact_in(c.scale_dtype, scale(*random));
    if (whole && !c.symmetric) w.zeros.as<std::int8_t>()[i] = w.zeros.as<std::int8_t>()[0];
  }
  return w;
}

void expect_law(const LawCase& c, const GroupedInt& w,
                const std::optional<scheme::QuantizedWeight>& back) {
  ASSERT_TRUE(back.has_value());
  const auto& read = std::get<GroupedInt>(*back);
  EXPECT_EQ(read.bits, w.bits);
  EXPECT_EQ(read.group_size, w.group_size);
  EXPECT_EQ(read.channel, w.channel);
  EXPECT_EQ(read.scale_dtype, c.scale_dtype);
  expect_same(read.codes, w.codes);
  expect_same(read.scales, w.scales);
  expect_same(read.zeros, w.zeros);
}

struct Encoded {
  LawCase law;
  std::string module;
  GroupedInt weight;
};

std::vector<Encoded> all_cases() {
  std::mt19937 random(7);
  std::vector<Encoded> cases;
  for (int bits = 2; bits <= 8; ++bits)
    for (const bool symmetric : {true, false})
      for (const Strategy strategy : {Strategy::kGroup, Strategy::kChannel, Strategy::kTensor})
        for (const Dtype dtype : {Dtype::kBF16, Dtype::kF16, Dtype::kF32}) {
          const LawCase c{bits, symmetric, strategy, dtype};
          cases.push_back({c,
                           fmt::format("m{}_{}_{}_{}", bits, symmetric, scheme::name_of(strategy),
                                       numeric::name_of(dtype)),
                           random_weight(c, 11, 96, 32, &random)});
        }
  return cases;
}

// decode(encode(q)) == q, bit for bit, with the config and without it.
TEST(Law, DecodeOfEncodeIsTheSame) {
  const std::vector<Encoded> cases = all_cases();
  ModelFolder model;
  QuantizationConfig config;
  for (const Encoded& c : cases) {
    model.add(encode_packed(c.module, c.weight, c.law.strategy));
    ConfigGroup group{{c.module}, {}, "pack-quantized"};
    group.scheme.weights = {c.law.bits,
                            scheme::NumberType::kInt,
                            c.law.symmetric,
                            c.law.strategy,
                            c.law.strategy == Strategy::kGroup ? 32 : 0,
                            0,
                            0,
                            false};
    config.groups.push_back(group);
  }
  for (const std::string& quantization : {to_json(config).dump(), std::string("null")}) {
    model.quantization(quantization);
    const Checkpoint checkpoint = model.open();
    const PackedReader reader(checkpoint);
    for (const Encoded& c : cases) {
      SCOPED_TRACE(c.module);
      expect_law(c.law, c.weight, reader.read(c.module));
    }
  }
}

}  // namespace
}  // namespace whit::formats
