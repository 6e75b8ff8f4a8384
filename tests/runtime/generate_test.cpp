#include "runtime/generate.h"

#include <gtest/gtest.h>

#include "runtime/demo_model.h"
#include "runtime/weights.h"

namespace whit::runtime {
namespace {

struct Demo {
  OpenModel model = open_model(testing::demo_folder());
  std::unique_ptr<compute::Backend> backend = compute::make_cpu_backend(2);
  std::unique_ptr<text::Tokenizer> tokenizer = text::load_tokenizer(testing::demo_folder());
  base::CancelToken cancel;

  Generation run(const std::vector<text::TokenId>& prompt, const GenerateArgs& args,
                 std::uint64_t budget, std::string* shown = nullptr) {
    ResidentWeights weights(make_stored_weights(model.checkpoint, *backend), budget);
    return generate(
        *backend, model.spec, weights, *tokenizer, prompt, args,
        [&](std::string_view piece) {
          if (shown != nullptr) *shown += piece;
        },
        cancel);
  }
};

constexpr std::uint64_t kAll = std::uint64_t{4} << 30;

TEST(Generate, GreedyEqualsTransformers) {
  Demo demo;
  const auto reference = testing::demo_reference()["fp8deq"];
  const auto prompt = reference["prompt_ids"].get<std::vector<text::TokenId>>();
  const auto whole = reference["greedy_ids"].get<std::vector<text::TokenId>>();
  GenerateArgs args;
  args.max_new_tokens = 64;
  args.eos = ending_ids(demo.model.checkpoint, demo.tokenizer.get());
  std::string shown;
  const auto result = demo.run(prompt, args, kAll, &shown);
  const std::vector<text::TokenId> expected(
      whole.begin() + static_cast<std::ptrdiff_t>(prompt.size()), whole.end());
  EXPECT_EQ(result.ids, expected);
  EXPECT_EQ(shown, result.text);
  EXPECT_EQ(result.stopped, expected.size() < 64 || args.eos.contains(expected.back()));
  EXPECT_EQ(result.prompt_tokens, static_cast<std::int64_t>(prompt.size()));
}

TEST(Generate, WeightsThatDoNotFitAreDecodedAnew) {
  Demo demo;
  GenerateArgs args;
  args.max_new_tokens = 4;
  const std::vector<text::TokenId> prompt{0, 480, 729};
  EXPECT_EQ(demo.run(prompt, args, 0).ids, demo.run(prompt, args, kAll).ids);
}

TEST(Generate, EndsBeforeAStopString) {
  Demo demo;
  GenerateArgs args;
  args.max_new_tokens = 48;
  const auto prompt =
      testing::demo_reference()["fp8deq"]["prompt_ids"].get<std::vector<text::TokenId>>();
  const auto whole = demo.run(prompt, args, kAll);
  const auto dot = whole.text.find('.');
  ASSERT_NE(dot, std::string::npos);
  args.stop = {"."};
  const auto cut = demo.run(prompt, args, kAll);
  EXPECT_EQ(cut.text, whole.text.substr(0, dot));
  EXPECT_TRUE(cut.stopped);
  EXPECT_LT(cut.ids.size(), whole.ids.size());
}

TEST(Generate, SamplingFollowsTheSeed) {
  Demo demo;
  GenerateArgs args;
  args.max_new_tokens = 12;
  args.sampling.temperature = 1.0;
  args.sampling.seed = 3;
  const std::vector<text::TokenId> prompt{0, 480, 729};
  const auto first = demo.run(prompt, args, kAll).ids;
  EXPECT_EQ(first, demo.run(prompt, args, kAll).ids);
  args.sampling.seed = 4;
  EXPECT_NE(first, demo.run(prompt, args, kAll).ids);
}

TEST(Generate, RefusesWhatTheModelCannotRead) {
  Demo demo;
  EXPECT_THROW(demo.run({}, {}, kAll), base::Error);
  EXPECT_THROW(demo.run({4096}, {}, kAll), base::Error);
  EXPECT_THROW(demo.run(std::vector<text::TokenId>(5000, 1), {}, kAll), base::Error);
}

TEST(Generate, StopsOnRequest) {
  Demo demo;
  demo.cancel.cancel(2);
  try {
    demo.run({0, 480}, {}, kAll);
    FAIL() << "went on";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kInterrupted);
  }
}

TEST(EndingIds, OneListOrTheTokenizer) {
  const auto folder = std::filesystem::path(::testing::TempDir()) / "whit_ending_ids";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  for (const char* name : {"config.json", "model-00001-of-000002.safetensors",
                           "model-00002-of-000002.safetensors", "model.safetensors.index.json"})
    std::filesystem::create_symlink(testing::demo_folder() / name, folder / name);
  const auto checkpoint = checkpoint::Checkpoint::open(folder);
  EXPECT_EQ(ending_ids(checkpoint, nullptr), (std::set<text::TokenId>{1}));  // of config.json
  base::write_file_atomic(folder / "generation_config.json", R"({"eos_token_id": [5, 9]})");
  EXPECT_EQ(ending_ids(checkpoint, nullptr), (std::set<text::TokenId>{5, 9}));
  base::write_file_atomic(folder / "generation_config.json", R"({"eos_token_id": "x"})");
  EXPECT_THROW(ending_ids(checkpoint, nullptr), base::Error);
}

}  // namespace
}  // namespace whit::runtime
