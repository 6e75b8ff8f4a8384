#include "runtime/convert.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "runtime/demo_model.h"
#include "runtime/weights.h"

namespace whit::runtime {
namespace {

namespace fs = std::filesystem;
using tensor::Dtype;

fs::path fresh_folder(const char* name) {
  const auto folder = fs::path(::testing::TempDir()) / name;
  fs::remove_all(folder);
  return folder;
}

ConvertResult convert_demo(const ConvertArgs& args) {
  const auto checkpoint = checkpoint::Checkpoint::open(testing::demo_folder());
  const auto backend = compute::make_cpu_backend(2);
  base::NullSink events;
  const base::CancelToken cancel;
  return convert(checkpoint, args, *backend, events, cancel);
}

TEST(Convert, EveryWeightIsDecodedExactlyToF32) {
  ConvertArgs args;
  args.output = fresh_folder("whit_convert_f32");
  args.shard_bytes = 20'000'000;
  const auto result = convert_demo(args);
  EXPECT_GT(result.decoded, 100);

  const auto backend = compute::make_cpu_backend(2);
  const auto source = open_model(testing::demo_folder());
  const auto written = open_model(args.output);
  EXPECT_FALSE(written.checkpoint.config().contains("quantization_config"));
  EXPECT_EQ(written.checkpoint.config()["torch_dtype"], "float32");
  EXPECT_GT(written.checkpoint.files().size(), 1U);
  EXPECT_EQ(written.checkpoint.tensor_bytes(), result.bytes);
  EXPECT_TRUE(fs::exists(args.output / "tokenizer.json"));
  EXPECT_TRUE(fs::exists(args.output / "generation_config.json"));

  const auto before = make_stored_weights(source.checkpoint, *backend);
  const auto after = make_stored_weights(written.checkpoint, *backend);
  for (const auto& tensor : model::inventory(written.spec)) {
    if (tensor.optional && !written.checkpoint.has(tensor.name)) continue;
    EXPECT_EQ(written.checkpoint.info(tensor.name).dtype, Dtype::kF32) << tensor.name;
    EXPECT_EQ(written.checkpoint.info(tensor.name).shape, tensor.shape) << tensor.name;
  }
  for (const auto& layer : source.spec.layers)
    for (const auto* linear : model::linears_of(layer)) {
      const auto a = before->linear(*linear);
      const auto b = after->linear(*linear);
      ASSERT_EQ(std::memcmp(a->data(), b->data(), a->bytes()), 0) << linear->module;
    }
}

TEST(Convert, BF16KeepsTheRoutersBias) {
  ConvertArgs args;
  args.output = fresh_folder("whit_convert_bf16");
  args.dtype = Dtype::kBF16;
  convert_demo(args);
  const auto written = open_model(args.output);
  for (const auto& tensor : model::inventory(written.spec)) {
    if (!written.checkpoint.has(tensor.name)) continue;
    const auto expected = tensor.role == model::Role::kRouterBias ? Dtype::kF32 : Dtype::kBF16;
    EXPECT_EQ(written.checkpoint.info(tensor.name).dtype, expected) << tensor.name;
  }
  EXPECT_TRUE(fs::exists(args.output / "model.safetensors"));
  EXPECT_FALSE(fs::exists(args.output / "model.safetensors.index.json"));
}

TEST(Convert, DoesNotTouchWhatIsThere) {
  ConvertArgs args;
  args.output = fresh_folder("whit_convert_taken");
  fs::create_directories(args.output);
  base::write_file_atomic(args.output / "notes.txt", "mine");
  EXPECT_THROW(convert_demo(args), base::Error);
  EXPECT_FALSE(fs::exists(args.output / "config.json"));
  args.output = testing::demo_folder();
  args.overwrite = true;
  EXPECT_THROW(convert_demo(args), base::Error);
  EXPECT_TRUE(fs::exists(testing::demo_folder() / "config.json"));
}

}  // namespace
}  // namespace whit::runtime
