#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <numeric>

#include "base/file.h"
#include "model/support.h"

// Logits against transformers in fp32: within 1e-4 of the largest logit.
namespace whit::model::testing {
namespace {

constexpr double kTolerance = 1e-4;

class TinyModel : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  std::string name() const { return std::get<0>(GetParam()); }
  std::unique_ptr<compute::Backend> backend_ = make_backend(std::get<1>(GetParam()));
};

TEST_P(TinyModel, LogitsEqualTransformers) {
  const Golden golden = golden_of(name());
  Model model(tiny_model(name()), *backend_);
  check_inventory(model.spec, model.checkpoint);
  EXPECT_LT(relative_difference(model.logits(golden.ids), golden.logits), kTolerance);
}

TEST_P(TinyModel, ChunksOverACacheEqualTheWhole) {
  const Golden golden = golden_of(name());
  Model model(tiny_model(name()), *backend_);
  std::vector<std::int64_t> chunks{17, 1, 1, 9, 12};
  // Some scalings turn on the length so far, so that chunks differ from the whole by definition:
  // dynamic scaling always, LongRoPE where a chunk ends within the original length.
  for (const LayerSpec& layer : model.spec.layers) {
    const auto* gqa = std::get_if<GqaSpec>(&layer.attention);
    if (gqa == nullptr || !gqa->rope.by_length() || gqa->rope.max_position >= 40) continue;
    chunks = std::vector<std::int64_t>{40};
    if (!gqa->rope.long_inv_freq.empty()) chunks = {gqa->rope.max_position + 1, 1, 1};
    chunks.back() += 40 - std::accumulate(chunks.begin(), chunks.end(), std::int64_t{0});
  }
  EXPECT_LT(relative_difference(model.chunked_logits(golden.ids, chunks), golden.logits),
            kTolerance);
}

TEST_P(TinyModel, PredictionLayersEqualTheirEquations) {
  const Golden golden = golden_of(name());
  Model model(tiny_model(name()), *backend_);
  std::vector<float> found;
  for (const auto& logits : model.mtp_logits(golden.ids))
    found.insert(found.end(), logits.begin(), logits.end());
  if (golden.mtp_logits.empty())
    EXPECT_TRUE(found.empty());
  else
    EXPECT_LT(relative_difference(found, golden.mtp_logits), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(All, TinyModel,
                         ::testing::Combine(::testing::ValuesIn(tiny_models()),
                                            ::testing::Values("reference", "cpu")),
                         [](const auto& test) {
                           return std::get<0>(test.param) + "_" + std::get<1>(test.param);
                         });

TEST(Threads, DoNotChangeABit) {
  const Golden golden = golden_of("deepseek_fp8_yarn");
  std::vector<float> first;
  for (const int threads : {1, 2, 3}) {
    const auto backend = compute::make_cpu_backend(threads);
    Model model(tiny_model("deepseek_fp8_yarn"), *backend);
    const auto logits = model.logits(golden.ids);
    if (first.empty()) first = logits;
    EXPECT_EQ(logits, first) << threads;
  }
}

class DemoModel : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<compute::Backend> backend_ = make_backend(GetParam());
};

std::vector<std::int32_t> demo_prompt() {
  return nlohmann::json::parse(
             base::read_text_file(kData / "golden" / "moe-15m" / "reference.json"))
      .at("fp8deq")
      .at("prompt_ids")
      .get<std::vector<std::int32_t>>();
}

TEST_P(DemoModel, LogitsEqualTransformers) {
  Model model(kDemo, *backend_);
  const InventoryReport report = check_inventory(model.spec, model.checkpoint);
  EXPECT_TRUE(report.unknown.empty() && report.ignorable.empty());
  EXPECT_LT(relative_difference(model.logits(demo_prompt()),
                                read_npy_f32(kData / "golden" / "moe-15m" / "logits_fp8deq.npy")),
            kTolerance);
}

TEST_P(DemoModel, PredictionLayerEqualsItsEquations) {
  Model model(kDemo, *backend_);
  const checkpoint::SafetensorsFile golden(kData / "golden" / "model" / "moe-15m-mtp.safetensors");
  const auto expected = tensor::to_f32_vector(golden.view(*golden.find("logits")));
  const auto logits = model.mtp_logits(demo_prompt());
  ASSERT_EQ(logits.size(), 1U);
  std::vector<float> found;
  for (const float row : tensor::to_f32_vector(golden.view(*golden.find("rows")))) {
    const auto first = logits[0].begin() + static_cast<std::ptrdiff_t>(row) * model.spec.vocabulary;
    found.insert(found.end(), first, first + model.spec.vocabulary);
  }
  EXPECT_LT(relative_difference(found, expected), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(All, DemoModel, ::testing::Values("reference", "cpu"));

class SharedLlama : public ::testing::TestWithParam<std::string> {};

TEST_P(SharedLlama, LastLogitsEqualTheReference) {
  const fs::path folder = kShared / "models" / GetParam();
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is not here";
  const auto reference = nlohmann::json::parse(base::read_text_file(folder / "reference.json"));
  const auto ids = reference.at("prompt_ids").get<std::vector<std::int32_t>>();
  const auto expected = reference.at("last_logits").get<std::vector<float>>();
  const auto backend = make_backend("cpu");
  Model model(folder, *backend);
  EXPECT_TRUE(model.spec.tied);
  const auto logits = model.logits(ids);
  EXPECT_LT(relative_difference(std::span(logits).last(expected.size()), expected), kTolerance);
}

INSTANTIATE_TEST_SUITE_P(All, SharedLlama, ::testing::Values("stories260K", "babyllama-tok105"),
                         [](const auto& test) { return test.param.substr(0, 7); });

TEST(SharedMixture, LogitsEqualTransformers) {
  const fs::path folder = kShared / "models" / "moe-61m";
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is not here";
  const fs::path reference = folder / "reference";
  const auto ids = nlohmann::json::parse(base::read_text_file(reference / "reference.json"))
                       .at("fp8deq")
                       .at("prompt_ids")
                       .get<std::vector<std::int32_t>>();
  const auto backend = make_backend("cpu");
  Model model(folder, *backend);
  EXPECT_LT(relative_difference(model.logits(ids), read_npy_f32(reference / "logits_fp8deq.npy")),
            kTolerance);
}

}  // namespace
}  // namespace whit::model::testing
