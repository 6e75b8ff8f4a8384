#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "model/finite.h"
#include "model/support.h"
#include "numeric/float_codec.h"

namespace whit::model::testing {
namespace {

using base::ErrorKind;
using tensor::Dtype;

class Weights : public ::testing::Test {
 protected:
  std::unique_ptr<compute::Backend> backend_ = compute::make_reference_backend();

  std::vector<float> read(Model& model, const LinearSpec& linear) {
    return tensor::to_f32_vector(model.weights->linear(linear)->view());
  }
};

std::vector<std::byte> bytes_of(std::span<const float> values) {
  const auto bytes = std::as_bytes(values);
  return {bytes.begin(), bytes.end()};
}

std::vector<float> floats_of(const std::vector<std::byte>& bytes) {
  return tensor::to_f32_vector(
      {bytes.data(), Dtype::kF32, {static_cast<std::int64_t>(bytes.size() / sizeof(float))}, {}});
}

const LinearSpec& down_of(const Model& model) {
  return std::get<MlpSpec>(model.spec.layers.front().mlp).down;
}

// W = codes * scale of the 128x128 block, blocks ragged in both directions.
TEST_F(Weights, Fp8BlocksAreRaggedAtBothEdges) {
  Model model(tiny_model("deepseek_fp8_yarn"), *backend_);
  const LinearSpec& down = down_of(model);
  ASSERT_EQ(down.out_features, 148);
  ASSERT_EQ(down.in_features, 152);
  const auto found = read(model, down);
  const auto codes = tensor::to_f32_vector(model.checkpoint.view(down.weight()));
  const auto scales = tensor::to_f32_vector(model.checkpoint.view(down.weight() + "_scale_inv"));
  for (std::size_t n = 0; n < 148; ++n)
    for (std::size_t k = 0; k < 152; ++k)
      ASSERT_EQ(found[n * 152 + k], codes[n * 152 + k] * scales[n / 128 * 2 + k / 128]);
}

TEST_F(Weights, LargerScaleGridsAreCropped) {
  Model plain(tiny_model("deepseek_fp8_yarn"), *backend_);
  const LinearSpec down = down_of(plain);
  const Folder folder;
  write_altered("deepseek_fp8_yarn", folder.path(), [&](Tensors& tensors) {
    Stored& grid = named(tensors, down.weight() + "_scale_inv");
    const auto values = floats_of(grid.bytes);
    std::vector<float> wide(12, std::numeric_limits<float>::max() / 1e3F);
    for (std::size_t i = 0; i < 4; ++i) wide[i / 2 * 4 + i % 2] = values[i];
    grid.shape = {3, 4};
    grid.bytes = bytes_of(wide);
  });
  Model cropped(folder.path(), *backend_);
  EXPECT_EQ(read(cropped, down), read(plain, down));
}

TEST_F(Weights, OneScalePerRow) {
  Model plain(tiny_model("llama_fp8_per_tensor"), *backend_);
  const LinearSpec down = down_of(plain);
  const auto rows = static_cast<std::size_t>(down.out_features);
  const Folder folder;
  write_altered("llama_fp8_per_tensor", folder.path(), [&](Tensors& tensors) {
    Stored& scale = named(tensors, down.weight() + "_scale");
    std::vector<float> values(rows);
    for (std::size_t n = 0; n < rows; ++n) values[n] = static_cast<float>(n + 1);
    scale.shape = {down.out_features, 1};
    scale.bytes = bytes_of(values);
  });
  Model scaled(folder.path(), *backend_);
  const auto found = read(scaled, down);
  const auto codes = tensor::to_f32_vector(scaled.checkpoint.view(down.weight()));
  for (std::size_t i = 0; i < found.size(); ++i)
    ASSERT_EQ(found[i],
              codes[i] * static_cast<float>(i / static_cast<std::size_t>(down.in_features) + 1));
}

TEST_F(Weights, TablesKeepTheirStoredType) {
  Model model(tiny_model("llama_linear_tied"), *backend_);
  const WeightHandle table = model.weights->table(model.spec.embedding);
  EXPECT_EQ(table->dtype(), Dtype::kBF16);
  EXPECT_EQ(table->shape(), (tensor::Shape{72, 84}));
}

void put_bytes(Tensors& tensors, const std::string& name, std::size_t at, std::uint32_t value,
               std::size_t size) {
  std::memcpy(named(tensors, name).bytes.data() + at * size, &value, size);
}

TEST_F(Weights, NonFiniteNumbersAreRefusedByName) {
  struct Case {
    const char* model;
    std::string name;
    std::uint32_t bits;
    std::size_t size;
  };
  for (const Case& one :
       {Case{"llama_gqa_biases", "model.layers.1.mlp.down_proj.weight", 0x7fc00000U, 4},
        Case{"llama_gqa_biases", "model.layers.1.mlp.down_proj.bias", 0xff800000U, 4},
        Case{"llama_linear_tied", "model.layers.1.input_layernorm.weight", 0x7f80U, 2},
        Case{"deepseek_no_dense_linear_bias", "model.layers.1.self_attn.o_proj.weight", 0x7c00U, 2},
        Case{"deepseek_fp8_yarn", "model.layers.1.self_attn.o_proj.weight", 0xffU, 1},
        Case{"deepseek_fp8_yarn", "model.layers.1.self_attn.o_proj.weight_scale_inv", 0x7fc00000U,
             4},
        Case{"deepseek_fp8_yarn", "model.layers.1.mlp.gate.e_score_correction_bias", 0x7f800000U,
             4}}) {
    const Folder folder;
    write_altered(one.model, folder.path(),
                  [&](Tensors& tensors) { put_bytes(tensors, one.name, 1, one.bits, one.size); });
    Model model(folder.path(), *backend_);
    expect_error(ErrorKind::kInput, one.name, "at element 1 of", [&] {
      model.logits(std::vector<std::int32_t>{1, 2, 3});
    });
  }
}

TEST(Finite, FindsTheFirstBeyondTheFirstBlock) {
  std::vector<float> values(10'000, std::numeric_limits<float>::max());
  values[5000] = std::numeric_limits<float>::infinity();
  values[9000] = std::numeric_limits<float>::quiet_NaN();
  const tensor::Tensor host = tensor::make_f32({100, 100}, values);
  expect_error(ErrorKind::kInput, "w", "element 5000", [&] { require_finite("w", host.view()); });
}

}  // namespace
}  // namespace whit::model::testing
