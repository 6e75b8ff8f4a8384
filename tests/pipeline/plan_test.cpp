#include "pipeline/plan.h"

#include <algorithm>

#include "base/error.h"
#include "pipeline/pipeline_demo.h"

namespace whit::pipeline {
namespace {

using base::ErrorKind;

using PlanTest = DemoJob;

template <typename Call>
base::Error error_of(Call call) {
  try {
    call();
  } catch (const base::Error& error) {
    return error;
  }
  return {ErrorKind::kBug, "no error", "none was thrown"};
}

TEST_F(PlanTest, AccountsForEveryTensor) {
  const auto source = demo();
  const auto plan = make_plan(source, recipe());
  // Scales belong to their weights; everything else is in exactly one list.
  std::vector<std::string> expected;
  for (const auto& name : source.names())
    if (!name.ends_with("_scale_inv")) expected.push_back(name);
  std::vector<std::string> accounted = plan->quantized;
  accounted.insert(accounted.end(), plan->copied.begin(), plan->copied.end());
  accounted.insert(accounted.end(), plan->ignored.begin(), plan->ignored.end());
  std::sort(accounted.begin(), accounted.end());
  EXPECT_EQ(accounted, expected);
  // 7 layers (MTP included): 5 of attention, 3 dense or 3 * 17 of experts.
  EXPECT_EQ(plan->quantized.size(), 7u * 5 + 3 + 6 * 3 * 17);
  EXPECT_TRUE(plan->dequantized.empty());
}

TEST_F(PlanTest, ExpertsOnlyDequantizesTheRest) {
  Recipe only = recipe();
  only.only_experts = true;
  const auto plan = make_plan(demo(), only);
  EXPECT_EQ(plan->quantized.size(), 6u * 3 * 16);
  EXPECT_EQ(plan->dequantized.size(), 7u * 5 + 3 + 6 * 3);
  const std::vector<std::string> conventional{"lm_head",
                                              "re:.*mlp\\.gate$",
                                              "re:.*eh_proj$",
                                              "re:.*shared_head\\.head$",
                                              "re:.*self_attn.*",
                                              "re:.*shared_experts.*",
                                              "re:.*mlp\\.(gate|up|gate_up|down)_proj.*"};
  ASSERT_GE(plan->bound.ignore.size(), conventional.size());
  EXPECT_TRUE(std::equal(conventional.begin(), conventional.end(), plan->bound.ignore.begin()));
}

TEST_F(PlanTest, KeptMtpLayerIsCopied) {
  Recipe keep = recipe();
  keep.mtp = MtpMode::kKeep;
  const auto plan = make_plan(demo(), keep);
  for (const auto& name : plan->quantized)
    EXPECT_FALSE(name.starts_with("model.layers.6.")) << name;
  EXPECT_TRUE(std::binary_search(plan->copied.begin(), plan->copied.end(),
                                 "model.layers.6.mlp.experts.0.up_proj.weight"));
  EXPECT_NE(
      std::find(plan->bound.ignore.begin(), plan->bound.ignore.end(), "re:model\\.layers\\.6\\..*"),
      plan->bound.ignore.end());
}

TEST_F(PlanTest, GroupSizeMustDivideEveryWidth) {
  EXPECT_EQ(make_plan(demo(), recipe())->bound.weights.group_size, 128);
  Recipe odd = recipe();
  odd.group_size = 96;
  const auto error = error_of([&] { make_plan(demo(), odd); });
  EXPECT_EQ(error.kind(), ErrorKind::kUsage);
  EXPECT_EQ(error.subject(), "--group-size");
  EXPECT_NE(error.detail().find("96 does not divide"), std::string::npos) << error.detail();
}

TEST_F(PlanTest, TooLittleMemorySpillsThenRefuses) {
  Recipe big = recipe();
  big.samples.samples = 512;
  big.samples.max_length = 2048;
  big.max_memory = 64ULL << 30;
  const auto roomy = make_plan(demo(), big);
  EXPECT_FALSE(roomy->activations_in_file);
  big.max_memory = 800ULL << 20;
  const auto tight = make_plan(demo(), big);
  EXPECT_TRUE(tight->activations_in_file);
  EXPECT_LE(tight->peak_memory_bytes, big.max_memory);
  EXPECT_GT(tight->spill_bytes, 0u);
  big.max_memory = 1ULL << 20;
  const auto error = error_of([&] { make_plan(demo(), big); });
  EXPECT_EQ(error.kind(), ErrorKind::kResource);
  EXPECT_EQ(error.subject(), "--max-memory");
}

TEST_F(PlanTest, RefusesWhatItCannotDo) {
  Recipe bad = recipe();
  bad.bits = 9;
  EXPECT_EQ(error_of([&] { make_plan(demo(), bad); }).subject(), "--bits");
  bad = recipe();
  bad.targets = {"re:.*no_such_module.*"};
  EXPECT_EQ(error_of([&] { make_plan(demo(), bad); }).subject(), "--targets");
  bad = recipe();
  bad.calibration.clear();
  EXPECT_EQ(error_of([&] { make_plan(demo(), bad); }).subject(), "--calibration");
}

}  // namespace
}  // namespace whit::pipeline
