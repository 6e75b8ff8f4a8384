#include "report/bench_layer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "model/inventory.h"
#include "report/metered_backend.h"
#include "report/synthetic_checkpoint.h"

namespace whit::report {
namespace {

namespace fs = std::filesystem;

class LayerBenchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              ("whit-layer-" + std::to_string(::getpid()) + "-" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
};

nlohmann::json small_config() {
  auto config = layer_config("deepseek_v3", false, 8);
  config.update({{"hidden_size", 256},
                 {"num_attention_heads", 2},
                 {"num_key_value_heads", 2},
                 {"moe_intermediate_size", 128},
                 {"n_group", 2},
                 {"topk_group", 1},
                 {"num_experts_per_tok", 2},
                 {"q_lora_rank", 128},
                 {"kv_lora_rank", 128},
                 {"vocab_size", 512}});
  return config;
}

TEST_F(LayerBenchTest, GeneratesWhatTheInventoryNames) {
  write_synthetic_checkpoint(small_config(), folder_ / "a", 3);
  write_synthetic_checkpoint(small_config(), folder_ / "b", 3);
  const auto checkpoint = checkpoint::Checkpoint::open(folder_ / "a");
  const auto report = model::check_inventory(model::load_spec(checkpoint), checkpoint);
  EXPECT_TRUE(report.unknown.empty());
  EXPECT_FALSE(report.companions.empty());
  const auto again = checkpoint::Checkpoint::open(folder_ / "b");
  const std::string name = "model.layers.0.mlp.experts.3.down_proj.weight";
  const auto a = checkpoint.view(name).raw();
  const auto b = again.view(name).raw();
  EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
}

TEST_F(LayerBenchTest, ConfigsOfPublishedModels) {
  EXPECT_EQ(layer_config("deepseek_v3", false, 0).at("n_routed_experts"), 256);
  EXPECT_EQ(layer_config("llama3_8b", true, 0).at("intermediate_size"), 14336);
  EXPECT_THROW(layer_config("qwen3_30b_a3b", true, 0), base::Error);
  EXPECT_THROW(layer_config("gpt5", false, 0), base::Error);
}

TEST(MeteredBackend, CountsWhatItHandsOn) {
  const auto backend = compute::make_cpu_backend(1);
  Meter meter;
  const auto metered = make_metered(*backend, meter);
  tensor::Tensor x = metered->memory().allocate({6, 4}, tensor::Dtype::kF32);
  metered->memory().fill(x.matrix(), 1.0F);
  tensor::Tensor g = metered->memory().allocate({4, 4}, tensor::Dtype::kF32);
  metered->linalg().gram(x.matrix(), {}, g.matrix());
  metered->linalg().gram(x.matrix(), {}, g.matrix());
  EXPECT_EQ(g.as<float>()[5], 12.0F);
  const Metered& gram = meter.functions().at("gram");
  EXPECT_EQ(gram.calls, 2);
  EXPECT_EQ(gram.flops, 2 * 6 * 4 * 5);
  EXPECT_EQ(meter.functions().at("allocate").calls, 2);
}

}  // namespace
}  // namespace whit::report
