#include "model/inventory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "model/arch.h"
#include "model/configs.h"

namespace whit::model::testing {
namespace {

using base::ErrorKind;
using checkpoint::Checkpoint;
using tensor::Dtype;

// The whole spec in words, as tests/golden/model/inventory_*.txt hold it. That the names and shapes
// are those that transformers writes is the next test's business.
std::string described(const ModelSpec& spec) {
  std::string text;
  for (const TensorSpec& tensor : inventory(spec))
    text +=
        fmt::format("{} {} layer {} expert {} {}{}{}\n", tensor.name, name_of(tensor.role),
                    tensor.layer, tensor.expert, tensor::to_string(tensor.shape),
                    tensor.quantizable ? " quantizable" : "", tensor.optional ? " optional" : "");
  for (const auto* layers : {&spec.layers, &spec.mtp_layers})
    for (const LayerSpec& layer : *layers)
      for (const LinearSpec* linear : linears_of(layer))
        text += fmt::format("{} reads {}\n", linear->module, stats::to_string(linear->reads));
  return text;
}

class GoldenInventory : public ::testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(GoldenInventory, IsAsCommitted) {
  const auto [architecture, tiny] = GetParam();
  const fs::path golden =
      kData / "golden" / "model" / fmt::format("inventory_{}.txt", architecture);
  const std::string found = described(spec_from_config(config_of(tiny)));
  EXPECT_EQ(found, base::read_text_file(golden));
}

INSTANTIATE_TEST_SUITE_P(
    All, GoldenInventory,
    ::testing::Values(
        std::pair{"bloom", "bloom_hub_names"}, std::pair{"falcon", "falcon_groups_two_norms_v5"},
        std::pair{"gpt2", "gpt2_hub_names"}, std::pair{"gpt_neox", "gpt_neox_parallel"},
        std::pair{"gptj", "gptj_partial"}, std::pair{"opt", "opt_norm_last_projected_v5"},
        std::pair{"phi", "phi_normed_heads_v5"}, std::pair{"starcoder2", "starcoder2_window"},
        std::pair{"deepseek_v2", "deepseek_v2_grouped_v5"},
        std::pair{"deepseek_v3", "deepseek_two_mtp"}, std::pair{"gemma2", "gemma2_no_caps_v5"},
        std::pair{"gemma3_text", "gemma3_text_pattern"},
        std::pair{"glm4_moe", "glm4_moe_norms_mtp"}, std::pair{"granite", "granite_biases_v5"},
        std::pair{"llama", "llama_gqa_biases"}, std::pair{"mistral", "mistral_window"},
        std::pair{"mixtral", "mixtral_plain"}, std::pair{"olmo2", "olmo2_post_norms"},
        std::pair{"phi3", "phi3_window"}, std::pair{"qwen2", "qwen2_tied"},
        std::pair{"qwen2_moe", "qwen2_moe_window_v5"}, std::pair{"qwen3", "qwen3_head_dim_tied"},
        std::pair{"qwen3_moe", "qwen3_moe_dense_first"}));

TEST(Inventory, EveryTinyModelIsCoveredToTheLastTensor) {
  for (const std::string& name : tiny_models()) {
    const Checkpoint checkpoint = Checkpoint::open(tiny_model(name));
    const InventoryReport report = check_inventory(load_spec(checkpoint), checkpoint);
    EXPECT_TRUE(report.unknown.empty()) << name << ": " << report.unknown.front();
    // Old files hold causal masks beside the weights.
    for (const std::string& buffer : report.ignorable)
      EXPECT_TRUE(buffer.ends_with(".bias") || buffer.ends_with(".masked_bias"))
          << name << ": " << buffer;
  }
}

// Inventory of an altered tiny model.
InventoryReport report_of(const std::string& name, const std::function<void(Tensors&)>& alter) {
  const Folder folder;
  write_altered(name, folder.path(), alter);
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  return check_inventory(load_spec(checkpoint), checkpoint);
}

void drop(Tensors& tensors, const std::string& prefix) {
  std::erase_if(tensors, [&](const Stored& one) { return one.name.starts_with(prefix); });
}

TEST(Inventory, NamesAMissingExpert) {
  const std::string expert = "model.layers.1.mlp.experts.5.up_proj.weight";
  expect_error(ErrorKind::kInput, expert, "missing; expected a tensor of shape [16, 148]", [&] {
    report_of("deepseek_fp8_yarn", [&](Tensors& tensors) { drop(tensors, expert); });
  });
}

TEST(Inventory, NamesAWrongShape) {
  const std::string name = "model.layers.0.self_attn.q_proj.weight";
  expect_error(ErrorKind::kInput, name, "shape [84, 60]; expected [60, 84]", [&] {
    report_of("llama_linear_tied", [&](Tensors& tensors) {
      std::swap(named(tensors, name).shape[0], named(tensors, name).shape[1]);
    });
  });
}

TEST(Inventory, NamesAForeignDtype) {
  const std::string name = "model.norm.weight";
  expect_error(ErrorKind::kUnsupported, name, "stored as I16", [&] {
    report_of("llama_linear_tied",
              [&](Tensors& tensors) { named(tensors, name).dtype = Dtype::kI16; });
  });
}

TEST(Inventory, NamesAScaleGridThatIsTooSmall) {
  const std::string weight = "model.layers.0.mlp.down_proj.weight";
  expect_error(ErrorKind::kInput, weight + "_scale_inv", "shape [2, 1]; expected [2, 2]", [&] {
    report_of("deepseek_fp8_yarn", [&](Tensors& tensors) {
      Stored& grid = named(tensors, weight + "_scale_inv");
      grid.shape = {2, 1};
      grid.bytes.resize(2 * sizeof(float));
    });
  });
}

TEST(Inventory, NamesFp8WithoutScales) {
  const std::string weight = "model.layers.0.mlp.down_proj.weight";
  expect_error(ErrorKind::kInput, weight, "without scales", [&] {
    report_of("deepseek_fp8_yarn", [&](Tensors& tensors) { drop(tensors, weight + "_scale_inv"); });
  });
}

TEST(Inventory, TellsUnknownIgnorableAndCompanionTensors) {
  const InventoryReport report = report_of("deepseek_fp8_yarn", [](Tensors& tensors) {
    Stored extra = named(tensors, "model.norm.weight");
    extra.name = "model.layers.0.self_attn.rotary_emb.inv_freq";
    tensors.push_back(extra);
    extra.name = "model.layers.0.self_attn.q_norm.weight";
    tensors.push_back(extra);
  });
  EXPECT_EQ(report.unknown, std::vector<std::string>{"model.layers.0.self_attn.q_norm.weight"});
  EXPECT_EQ(report.ignorable,
            std::vector<std::string>{"model.layers.0.self_attn.rotary_emb.inv_freq"});
  EXPECT_EQ(report.companions.at("model.layers.2.self_attn.kv_b_proj.weight_scale_inv"),
            "model.layers.2.self_attn.kv_b_proj.weight");
}

ModelSpec spec_of(const std::string& name, const std::function<void(Tensors&)>& alter) {
  const Folder folder;
  write_altered(name, folder.path(), alter);
  return load_spec(Checkpoint::open(folder.path()));
}

TEST(Ties, AnAbsentHeadIsTiedWhateverTheConfigSays) {
  const ModelSpec spec =
      spec_of("llama_gqa_biases", [](Tensors& tensors) { drop(tensors, "lm_head."); });
  EXPECT_TRUE(spec.tied);
  EXPECT_EQ(spec.head.module, "model.embed_tokens");
}

TEST(Ties, AStoredHeadIsTiedOnlyWhereItEqualsTheEmbedding) {
  const auto store_head = [](int change) {
    return [change](Tensors& tensors) {
      Stored head = named(tensors, "model.embed_tokens.weight");
      head.name = "lm_head.weight";
      head.bytes[0] ^= static_cast<std::byte>(change);
      tensors.push_back(head);
    };
  };
  EXPECT_TRUE(spec_of("llama_linear_tied", store_head(0)).tied);
  const ModelSpec untied = spec_of("llama_linear_tied", store_head(1));
  EXPECT_FALSE(untied.tied);
  EXPECT_EQ(untied.head.module, "lm_head");
  EXPECT_TRUE(report_of("llama_linear_tied", store_head(0)).unknown.empty());
}

TEST(Mtp, LayersThatTheFilesDoNotHoldAreDropped) {
  const ModelSpec spec =
      spec_of("deepseek_two_mtp", [](Tensors& tensors) { drop(tensors, "model.layers.3."); });
  ASSERT_EQ(spec.mtp_layers.size(), 1U);
  EXPECT_EQ(spec.mtp_layers.front().index, 2);
  EXPECT_FALSE(spec.mtp_layers.front().mtp->embedding.has_value());
  EXPECT_FALSE(spec.mtp_layers.front().mtp->head.has_value());
}

TEST(Mtp, HalfALayerIsAnError) {
  expect_error(ErrorKind::kInput, "model.layers.3.eh_proj.weight", "missing", [] {
    report_of("deepseek_two_mtp",
              [](Tensors& tensors) { drop(tensors, "model.layers.3.eh_proj"); });
  });
}

}  // namespace
}  // namespace whit::model::testing
