#include "formats/vptq.h"

#include "base/error.h"
#include "formats/model_folder.h"
#include "formats/packed_reader.h"
#include "formats/verify.h"
#include "formats/weight_format.h"

namespace whit::formats {
namespace {

using namespace testing;
using base::ErrorKind;
using scheme::VectorCodes;
using scheme::VectorLayout;

struct PackedCase {
  int low_bits, high_bits;
  std::vector<std::int32_t> low, high;
  std::vector<std::uint32_t> words;
};

// Worked out from the bit layout alone.
const std::vector<PackedCase>& worked_rows() {
  static const std::vector<PackedCase> cases{
      {16,
       8,
       {0, 1, 65535, 4660, 43981},
       {0, 255, 1, 128, 66},
       {0x01000000, 0xffffff00, 0x80123401, 0x0042abcd}},
      {12, 0, {1, 2, 3, 4095, 2048, 0, 1234}, {}, {0x03002001, 0x0800fff0, 0x0004d200}},
      {16, 0, {65535, 1, 32768}, {}, {0x0001ffff, 0x00008000}},
      {16, 16, {2, 65535}, {0x8001, 3}, {0x80010002, 0x0003ffff}},
      {12, 9, {4095, 0, 1365, 2730}, {511, 1, 256, 170}, {0x001fffff, 0x40155402, 0x00055555}},
      {4, 8, {15, 3, 9}, {255, 16, 128}, {0x09103fff, 0x00000008}}};
  return cases;
}

TEST(VptqFormat, RowsPackAsWorkedOut) {
  for (const PackedCase& c : worked_rows()) {
    const auto cols = static_cast<std::int64_t>(c.low.size());
    const Tensor high = c.high.empty() ? Tensor() : i32({1, cols}, c.high);
    const Tensor packed = pack_indices(i32({1, cols}, c.low), c.low_bits, high, c.high_bits);
    EXPECT_EQ(std::vector<std::uint32_t>(packed.as<std::uint32_t>(),
                                         packed.as<std::uint32_t>() + packed.elements()),
              c.words);
    Tensor low({1, cols}, Dtype::kI32);
    Tensor up({1, cols}, Dtype::kI32);
    unpack_indices(packed.view(), c.low_bits, c.high_bits, low, &up);
    for (std::int64_t j = 0; j < cols; ++j) {
      EXPECT_EQ(low.as<std::int32_t>()[j], c.low[static_cast<std::size_t>(j)]);
      if (!c.high.empty()) {
        EXPECT_EQ(up.as<std::int32_t>()[j], c.high[static_cast<std::size_t>(j)]);
      }
    }
  }
}

Tensor counted(Shape shape, std::int64_t below, std::int64_t step) {
  Tensor out(std::move(shape), Dtype::kI32);
  for (std::int64_t i = 0; i < out.elements(); ++i)
    out.as<std::int32_t>()[i] = static_cast<std::int32_t>((i * step + i / 7) % below);
  return out;
}

Tensor halves(Shape shape, float first) {
  Tensor out(std::move(shape), Dtype::kF32);
  for (std::int64_t i = 0; i < out.elements(); ++i)
    out.as<float>()[i] = first + static_cast<float>(i % 61) * 0.25F;
  return out;
}

VectorCodes codes_of(const VectorLayout& layout, std::int64_t rows, std::int64_t cols) {
  VectorCodes w;
  w.layout = layout;
  w.n_rows = rows;
  w.n_cols = cols;
  const Shape shape{layout.chunks(rows), cols - layout.outliers};
  w.indices = counted(shape, layout.centroids, 37);
  w.centroids = halves({layout.groups * layout.centroids, layout.length}, -3);
  if (layout.residuals > 0) {
    w.residual_indices = counted(shape, layout.residuals, 11);
    w.residuals = halves({layout.groups * layout.residuals, layout.length}, -1);
  }
  if (layout.outliers > 0) {
    w.outlier_indices =
        counted({layout.outlier_chunks(rows), layout.outliers}, layout.outlier_centroids, 3);
    w.outlier_centroids = halves({layout.outlier_centroids, layout.outlier_length}, 20);
  }
  if (layout.permuted) {
    w.perm = Tensor({cols}, Dtype::kI32);
    for (std::int64_t j = 0; j < cols; ++j)
      w.perm.as<std::int32_t>()[j] = static_cast<std::int32_t>((j * 5 + 2) % cols);
  }
  if (layout.normed) {
    w.scale = halves({cols}, 0.5F);
    w.offset = halves({cols}, -0.25F);
  }
  return w;
}

void expect_equal(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.empty(), b.empty());
  if (a.empty()) return;
  EXPECT_EQ(a.shape(), b.shape());
  EXPECT_EQ(0, std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.bytes())));
}

void expect_equal(const VectorCodes& a, const VectorCodes& b) {
  EXPECT_EQ(a.layout, b.layout);
  EXPECT_EQ(a.dtype, b.dtype);
  expect_equal(a.indices, b.indices);
  expect_equal(a.residual_indices, b.residual_indices);
  expect_equal(a.centroids, b.centroids);
  expect_equal(a.residuals, b.residuals);
  expect_equal(a.outlier_indices, b.outlier_indices);
  expect_equal(a.outlier_centroids, b.outlier_centroids);
  expect_equal(a.perm, b.perm);
  expect_equal(a.scale, b.scale);
  expect_equal(a.offset, b.offset);
}

void write_to(ModelFolder& folder, const VectorCodes& codes) {
  folder.add(encode_vptq("m.up_proj", codes));
  QuantizationConfig config = uniform_config(WeightFormat::kVptq, {}, {"lm_head"});
  config.vectors.by_name["m.up_proj"] = {codes.rows(), codes.cols(), false, codes.layout};
  folder.quantization(to_json(config).dump());
}

VectorLayout layout_of(std::int64_t length, std::int64_t centroids, std::int64_t residuals) {
  VectorLayout layout;
  layout.length = length;
  layout.centroids = centroids;
  layout.residuals = residuals;
  return layout;
}

TEST(VptqFormat, WhatIsWrittenIsReadForEveryWidth) {
  for (int main = 1; main <= 16; ++main)
    for (int residual = 0; residual <= 16; residual += main == 16 || main == 5 ? 1 : 5) {
      VectorLayout layout =
          layout_of(2, std::int64_t{1} << main, residual == 0 ? 0 : std::int64_t{1} << residual);
      layout.normed = main % 2 == 0;
      const VectorCodes before = codes_of(layout, 7, 13);
      ModelFolder folder;
      write_to(folder, before);
      const Checkpoint checkpoint = folder.open();
      const auto after = PackedReader(checkpoint).read("m.up_proj");
      ASSERT_TRUE(after);
      expect_equal(std::get<VectorCodes>(*after), before);
    }
}

VectorCodes everything() {
  VectorLayout layout = layout_of(4, 32, 8);
  layout.groups = 3;
  layout.outliers = 2;
  layout.outlier_length = 3;
  layout.outlier_centroids = 16;
  layout.normed = layout.permuted = true;
  return codes_of(layout, 10, 14);
}

TEST(VptqFormat, OutliersGroupsOrderAndNorm) {
  const VectorCodes before = everything();
  ModelFolder folder;
  write_to(folder, before);
  const Checkpoint checkpoint = folder.open();
  const PackedReader reader(checkpoint);
  expect_equal(std::get<VectorCodes>(*reader.read("m.up_proj")), before);
  EXPECT_EQ(reader.tensors_of("m.up_proj").size(), checkpoint.names().size());
  for (const Check& check : verify(checkpoint)) EXPECT_TRUE(check.ok) << check.name << check.detail;
}

TEST(VptqFormat, DecodesAsWorkedOut) {
  VectorCodes w;
  w.layout = layout_of(2, 4, 2);
  w.n_rows = 5;
  w.n_cols = 4;
  w.centroids = f32({4, 2}, {1, 2, -1, 0.5F, 0.25F, -0.75F, 3, -2});
  w.residuals = f32({2, 2}, {0.125F, -0.125F, -0.5F, 0.5F});
  w.indices = i32({3, 4}, {0, 1, 2, 3, 3, 2, 1, 0, 1, 1, 0, 2});
  w.residual_indices = i32({3, 4}, {0, 1, 1, 0, 1, 0, 0, 1, 0, 0, 1, 1});
  w.layout.normed = w.layout.permuted = true;
  w.perm = i32({4}, {2, 0, 3, 1});
  w.scale = f32({4}, {1, 2, 0.5F, 4});
  w.offset = f32({4}, {0.5F, 0, -1, 0.25F});
  const std::vector<float> expected{-1,     6.25F,  -0.4375F, -0.75F, 1.5F,     -4.25F,  -0.0625F,
                                    -0.75F, 0.875F, 1,        0.25F,  -3.25F,   -0.375F, 5,
                                    -1.75F, 1.75F,  -0.375F,  -0.5F,  -1.4375F, 2.25F};
  EXPECT_EQ(tensor::to_f32_vector(scheme::decode_matrix(w).view()), expected);
  const auto packed = encode_vptq("m", w);
  EXPECT_EQ(packed[0].tensor.as<std::int32_t>()[0], 1960);
  EXPECT_EQ(packed[0].tensor.as<std::int32_t>()[1], 2135);
  EXPECT_EQ(packed[0].tensor.as<std::int32_t>()[2], 3337);
  // The same with the order absorbed.
  w.perm = Tensor();
  w.layout.permuted = false;
  w.indices = i32({3, 4}, {1, 3, 0, 2, 2, 0, 3, 1, 1, 2, 1, 0});
  w.residual_indices = i32({3, 4}, {1, 0, 0, 1, 0, 1, 1, 0, 0, 1, 0, 1});
  EXPECT_EQ(tensor::to_f32_vector(scheme::decode_matrix(w).view()), expected);
}

TEST(VptqFormat, OutliersAndGroupsDecodeAsWorkedOut) {
  VectorCodes w;
  w.layout = layout_of(2, 3, 0);
  w.n_rows = w.n_cols = 4;
  w.layout.outliers = 1;
  w.layout.outlier_length = 4;
  w.layout.outlier_centroids = 2;
  w.outlier_centroids = f32({2, 4}, {10, 20, 30, 40, -1, -2, -3, -4});
  w.outlier_indices = i32({1, 1}, {1});
  w.centroids = f32({3, 2}, {1, 2, 3, 4, 5, 6});
  w.indices = i32({2, 3}, {0, 1, 2, 2, 1, 0});
  w.layout.permuted = true;
  w.perm = i32({4}, {3, 1, 0, 2});
  EXPECT_EQ(tensor::to_f32_vector(scheme::decode_matrix(w).view()),
            (std::vector<float>{3, 1, 5, -1, 4, 2, 6, -2, 3, 5, 1, -3, 4, 6, 2, -4}));
  VectorCodes g;
  g.layout = layout_of(2, 2, 0);
  g.layout.groups = 2;
  g.n_rows = 2;
  g.n_cols = 4;
  g.centroids = f32({4, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  g.indices = i32({1, 4}, {0, 1, 1, 0});
  EXPECT_EQ(tensor::to_f32_vector(scheme::decode_matrix(g).view()),
            (std::vector<float>{1, 3, 7, 5, 2, 4, 8, 6}));
}

TEST(VptqFormat, BitsOnDiskAreCountedExactly) {
  const auto bits = [](std::int64_t rows, std::int64_t cols) {
    VectorLayout layout = layout_of(8, 65536, 256);
    layout.normed = layout.permuted = true;
    std::uint64_t bytes = 0;
    for (const auto& entry : vptq_layout("m", rows, cols, layout, Dtype::kBF16))
      bytes += tensor::byte_size(entry.shape, entry.dtype);
    return bytes * 8;
  };
  EXPECT_EQ(bits(14336, 4096), 184778752U);
  EXPECT_EQ(bits(1024, 4096), 21200896U);
}

// scripts/goldens/make_vptq_golden.py: odd widths, groups, outliers, orders kept and absorbed.
TEST(VptqFormat, WhatThePackagePackedDecodesToItsBits) {
  const auto golden = std::filesystem::path(WHIT_TEST_DATA) / "golden/vptq";
  const Checkpoint checkpoint = Checkpoint::open(golden / "package");
  const PackedReader reader(checkpoint);
  const Checkpoint plain = Checkpoint::open(golden / "dequantized", false);
  ASSERT_EQ(reader.modules().size(), 7U);
  for (const std::string& module : reader.modules()) {
    const Tensor decoded = scheme::decode_matrix(std::get<VectorCodes>(*reader.read(module)));
    const tensor::TensorView expected = plain.view(module);
    ASSERT_EQ(decoded.shape(), expected.shape) << module;
    EXPECT_EQ(0,
              std::memcmp(decoded.data(), expected.data, static_cast<std::size_t>(decoded.bytes())))
        << module;
  }
}

// `everything` with one tensor replaced, or gone.
void expect_refused(ErrorKind kind, const std::string& name, std::optional<Tensor> tensor) {
  ModelFolder folder;
  write_to(folder, everything());
  if (tensor)
    folder.set("m.up_proj." + name, std::move(*tensor));
  else
    folder.erase("m.up_proj." + name);
  const Checkpoint checkpoint = folder.open();
  expect_error(kind, kind == ErrorKind::kInput ? "m.up_proj." + name : "m.up_proj", "",
               [&] { PackedReader(checkpoint).read("m.up_proj"); });
}

TEST(VptqFormat, MalformedTensorsAreRefused) {
  expect_refused(ErrorKind::kInput, "indices", Tensor({3, 3, 2}, Dtype::kI32));
  expect_refused(ErrorKind::kInput, "centroids.weight", Tensor({3, 127}, Dtype::kBF16));
  Tensor nan({3, 128}, Dtype::kBF16);
  nan.as<std::uint16_t>()[5] = 0x7fc0;
  expect_refused(ErrorKind::kInput, "centroids.weight", std::move(nan));
  expect_refused(ErrorKind::kInput, "perm", Tensor({14}, Dtype::kI16));
  expect_refused(ErrorKind::kInput, "perm", Tensor({14}, Dtype::kI64));
  Tensor outliers({1, 4, 2}, Dtype::kI16);
  outliers.as<std::uint16_t>()[3] = 16;
  expect_refused(ErrorKind::kInput, "outlier_indices", std::move(outliers));
  expect_refused(ErrorKind::kInput, "weight_bias", std::nullopt);
  expect_refused(ErrorKind::kUnsupported, "indices", Tensor({3, 3, 1}, Dtype::kI16));
}

TEST(VptqFormat, ConfigsThatContradictThemselvesAreRefused) {
  const nlohmann::json good = nlohmann::json::parse(
      R"({"in_features": 14, "out_features": 10, "vector_lens": [-1, 4], "num_centroids": [-1, 32],
          "num_res_centroids": [-1, -1], "group_num": 2, "group_size": 7, "outlier_size": 0,
          "enable_norm": true, "norm_dim": 0, "enable_perm": false, "bias": false,
          "is_indice_packed": true, "indices_as_float": null, "enable_proxy_error": false})");
  const auto parse = [](const nlohmann::json& entry, const char* where = "config_for_layers") {
    return parse_vptq_config({{"quant_method", "vptq"}, {where, {{"a.up_proj", entry}}}}, "c");
  };
  EXPECT_EQ(parse(good).find("a.up_proj")->layout.groups, 2);
  EXPECT_EQ(parse_vptq_config({{"shared_layer_config", {{"up_proj", good}}}}, "c")
                .find("any.layer.up_proj")
                ->layout.length,
            4);
  const auto refused = [&](const char* key, const nlohmann::json& value, ErrorKind kind) {
    nlohmann::json bad = good;
    bad[key] = value;
    expect_error(kind, key, "", [&] { parse(bad); });
  };
  refused("num_centroids", {-1, 48}, ErrorKind::kInput);
  refused("num_centroids", {-1, 131072}, ErrorKind::kInput);
  refused("num_res_centroids", {16, 16}, ErrorKind::kInput);
  refused("vector_lens", {-1, 0}, ErrorKind::kInput);
  refused("vector_lens", 8, ErrorKind::kInput);
  refused("group_size", 8, ErrorKind::kInput);
  refused("group_num", 0, ErrorKind::kInput);
  refused("outlier_size", 14, ErrorKind::kInput);
  refused("in_features", -4, ErrorKind::kInput);
  refused("in_features", 1e300, ErrorKind::kInput);
  refused("norm_dim", 1, ErrorKind::kUnsupported);
  refused("is_indice_packed", false, ErrorKind::kUnsupported);
  nlohmann::json lacking = good;
  lacking.erase("enable_perm");
  expect_error(ErrorKind::kInput, "a.up_proj", "enable_perm", [&] { parse(lacking); });
}

}  // namespace
}  // namespace whit::formats
