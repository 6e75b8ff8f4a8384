#include "eval/evaluate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "data/samples.h"
#include "runtime/demo_model.h"
#include "runtime/weights.h"

namespace whit::eval {
namespace {

struct Demo {
  runtime::OpenModel model = runtime::open_model(testing::demo_folder());
  std::unique_ptr<compute::Backend> backend = compute::make_cpu_backend(2);
  std::unique_ptr<model::WeightSource> weights =
      runtime::make_stored_weights(model.checkpoint, *backend);
  std::unique_ptr<text::Tokenizer> tokenizer = text::load_tokenizer(testing::demo_folder());
  base::NullSink events;
  base::CancelToken cancel;

  std::vector<Window> windows(std::int64_t tokens, std::int64_t window = 512) {
    const auto text = std::filesystem::path(WHIT_SOURCE_DIR) / "demo" / "text" / "evaluation.txt";
    const auto ids = data::read_eval_ids(text, tokens, tokenizer.get(), model.spec.vocabulary);
    return cut_windows(ids, tokenizer->bos(), {window, tokens, BosMode::kOnce});
  }
  EvalModel eval_model() { return {&model.spec, weights.get()}; }
  EvalResult run(const std::vector<Window>& windows, std::optional<EvalModel> reference = {},
                 std::uint64_t memory = 0) {
    return evaluate(*backend, eval_model(), reference, windows, {memory}, events, cancel);
  }
};

// Every weight of one linear off by a factor.
class Bent final : public model::WeightSource {
 public:
  explicit Bent(model::WeightSource& source) : source_(source) {}
  model::WeightHandle linear(const model::LinearSpec& spec) override {
    auto weight = source_.linear(spec);
    if (spec.role != model::Role::kAttnO) return weight;
    auto bent = std::make_shared<tensor::Tensor>(weight->shape(), tensor::Dtype::kF32);
    for (std::int64_t i = 0; i < bent->elements(); ++i)
      bent->as<float>()[i] = 1.1F * weight->as<float>()[i];
    return bent;
  }
  model::WeightHandle bias(const model::LinearSpec& spec) override { return source_.bias(spec); }
  model::WeightHandle vector(const model::VectorSpec& spec) override {
    return source_.vector(spec);
  }
  model::WeightHandle table(const model::LinearSpec& spec) override { return source_.table(spec); }
  void release(int layer) override { source_.release(layer); }

 private:
  model::WeightSource& source_;
};

TEST(Evaluate, PerplexityEqualsTransformers) {
  Demo demo;
  const auto golden = checkpoint::read_json_object(std::filesystem::path(WHIT_TEST_DATA) /
                                                   "golden" / "moe-15m" / "evaluation.json");
  const auto result = demo.run(demo.windows(golden["max_tokens"].get<std::int64_t>()));
  EXPECT_EQ(result.tokens, golden["tokens"].get<std::int64_t>());
  EXPECT_NEAR(result.nll_nats, golden["nll_nats"].get<double>(), 1e-4);
  EXPECT_NEAR(result.perplexity, std::exp(result.nll_nats), 1e-9 * result.perplexity);
  EXPECT_FALSE(result.comparison.has_value());
  EXPECT_GT(result.nll_standard_error_nats, 0);
}

TEST(Evaluate, AModelEqualsItself) {
  Demo demo;
  const auto result = demo.run(demo.windows(512, 256), demo.eval_model());
  ASSERT_TRUE(result.comparison.has_value());
  EXPECT_EQ(result.comparison->mean_kl_nats, 0);
  EXPECT_EQ(result.comparison->top1_agreement, 1);
  EXPECT_EQ(result.comparison->reference_nll_nats, result.nll_nats);
}

TEST(Evaluate, AChangedModelDiffers) {
  Demo demo;
  Bent bent(*demo.weights);
  const auto windows = demo.windows(512, 256);
  const auto result = demo.run(windows, EvalModel{&demo.model.spec, &bent});
  const auto& c = *result.comparison;
  EXPECT_GT(c.mean_kl_nats, 1e-4);
  EXPECT_GT(c.p99_kl_nats, c.mean_kl_nats);
  EXPECT_LT(c.top1_agreement, 1);
  EXPECT_GT(c.mean_kl_standard_error_nats, 0);
  // The roles are not symmetric, but each model's own loss is the same on either side.
  const auto alone = demo.run(windows);
  EXPECT_EQ(alone.nll_nats, result.nll_nats);
}

TEST(Evaluate, AReferenceThatIsKeptGivesTheSame) {
  Demo demo;
  Bent bent(*demo.weights);
  const EvalModel changed{&demo.model.spec, &bent};
  const auto windows = demo.windows(512, 128);
  Reference kept(*demo.backend, demo.eval_model(), windows, ::testing::TempDir(), {}, demo.events,
                 demo.cancel);
  for (const auto& model : {changed, demo.eval_model(), changed}) {
    const auto beside =
        evaluate(*demo.backend, model, demo.eval_model(), windows, {}, demo.events, demo.cancel);
    const auto result = kept.evaluate(model);
    EXPECT_EQ(result.tokens, beside.tokens);
    EXPECT_EQ(result.nll_nats, beside.nll_nats);
    EXPECT_EQ(result.comparison->mean_kl_nats, beside.comparison->mean_kl_nats);
    EXPECT_EQ(result.comparison->p99_kl_nats, beside.comparison->p99_kl_nats);
    EXPECT_EQ(result.comparison->reference_nll_nats, beside.comparison->reference_nll_nats);
    EXPECT_EQ(result.comparison->window_kl_nats.size(), windows.size());
  }
}

TEST(Evaluate, MemoryChangesTheScheduleNotTheScores) {
  Demo demo;
  const auto windows = demo.windows(1024, 128);
  const auto whole = demo.run(windows);
  for (std::uint64_t megabytes = 50; megabytes < 4000; megabytes += 10) {
    EvalResult chunked;
    try {
      chunked = demo.run(windows, {}, megabytes << 20);
    } catch (const base::Error& error) {
      ASSERT_EQ(error.kind(), base::ErrorKind::kResource);
      continue;
    }
    EXPECT_NEAR(chunked.nll_nats, whole.nll_nats, 1e-6);
    return;
  }
  FAIL() << "no limit was enough";
}

TEST(Evaluate, RefusesAnotherVocabulary) {
  Demo demo;
  auto spec = model::ModelSpec{};
  spec.vocabulary = 7;
  EXPECT_THROW(demo.run(demo.windows(256, 128), EvalModel{&spec, demo.weights.get()}), base::Error);
}

TEST(Evaluate, StopsOnRequest) {
  Demo demo;
  demo.cancel.cancel(15);
  try {
    demo.run(demo.windows(256, 128));
    FAIL() << "went on";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kInterrupted);
  }
}

}  // namespace
}  // namespace whit::eval
