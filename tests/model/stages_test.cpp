#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "model/support.h"

// What a runner may rely on.
namespace whit::model::testing {
namespace {

std::vector<float> values_of(tensor::ConstMatrixView view) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < view.rows; ++i)
    values.insert(values.end(), view.row<float>(i), view.row<float>(i) + view.cols);
  return values;
}

// Writes down what it is handed, produces everything several times, and applies like a plain one.
class Recorder final : public StageRunner {
 public:
  Recorder(compute::Backend& backend, WeightSource& source, std::int64_t block)
      : backend_(backend), source_(source), block_(block) {}

  void run(std::span<Stage> stages) override {
    for (Stage& stage : stages) {
      stages_seen.push_back(stage.site);
      for (const LinearSpec* linear : stage.linears) {
        EXPECT_EQ(linear->reads, stage.site) << linear->module;
        EXPECT_EQ(linear->in_features, stage.width) << linear->module;
        linears.push_back(linear);
      }
      rows[stage.site] += 0;
      for (const std::int64_t piece : stage.piece_rows) rows[stage.site] += piece;
      if (!stage.row_weights.empty()) {
        EXPECT_EQ(static_cast<std::int64_t>(stage.row_weights.size()), rows[stage.site]);
        weights[stage.site] = stage.row_weights;
      }
      if (stage.observed_only_from >= 0) observed_only[stage.site] = stage.observed_only_from;
      apply(stage);
    }
  }

  std::int64_t expert_block(const LayerSpec&) override { return block_; }

  std::vector<std::int32_t> extra_rows(const LayerSpec& layer, int expert,
                                       std::span<const std::int32_t> routed,
                                       std::span<const float> scores) override {
    EXPECT_TRUE(std::is_sorted(routed.begin(), routed.end()));
    const std::size_t experts = std::get<MoeSpec>(layer.mlp).experts.size();
    if (top_up) {
      EXPECT_EQ(scores.size() % experts, 0U);
      EXPECT_FALSE(scores.empty());
    }
    std::vector<std::int32_t> extra;
    const auto tokens = static_cast<std::int32_t>(scores.size() / experts);
    for (std::int32_t t = expert % 2; t < tokens && top_up; t += 3)
      if (!std::binary_search(routed.begin(), routed.end(), t)) extra.push_back(t);
    return extra;
  }

  bool wants_scores() const override { return top_up; }

  bool top_up = false;
  std::vector<stats::TapId> stages_seen;
  std::vector<const LinearSpec*> linears;
  std::map<stats::TapId, std::int64_t> rows, observed_only;
  std::map<stats::TapId, std::vector<float>> weights;

 private:
  void apply(Stage& stage) {
    std::vector<std::vector<float>> produced;
    for (std::size_t piece = 0; piece < stage.piece_rows.size(); ++piece) {
      tensor::Tensor x({stage.piece_rows[piece], stage.width}, tensor::Dtype::kF32);
      stage.produce(piece, x.matrix());
      produced.push_back(values_of(x.matrix()));
    }
    for (std::size_t piece = 0; piece < stage.piece_rows.size(); ++piece) {
      tensor::Tensor x({stage.piece_rows[piece], stage.width}, tensor::Dtype::kF32);
      stage.produce(piece, x.matrix());
      EXPECT_EQ(values_of(x.matrix()), produced[piece]) << stats::to_string(stage.site);
      std::vector<tensor::Tensor> y;
      std::vector<tensor::MatrixView> views;
      for (const LinearSpec* linear : stage.linears) {
        y.emplace_back(tensor::Shape{stage.piece_rows[piece], linear->out_features},
                       tensor::Dtype::kF32);
        const WeightHandle bias = source_.bias(*linear);
        backend_.linalg().linear(x.matrix(), source_.linear(*linear)->matrix(),
                                 bias ? bias->as<float>() : nullptr, y.back().matrix());
      }
      for (tensor::Tensor& one : y) views.push_back(one.matrix());
      stage.consume(piece, views);
    }
  }

  compute::Backend& backend_;
  WeightSource& source_;
  std::int64_t block_;
};

class Stages : public ::testing::Test {
 protected:
  std::unique_ptr<compute::Backend> backend_ = compute::make_reference_backend();

  static Sequences two_sequences() {
    const Golden golden = golden_of("deepseek_fp8_yarn");
    Sequences sequences;
    sequences.append(std::span(golden.ids).first(23));
    sequences.append(std::span(golden.ids).last(9));
    return sequences;
  }
};

TEST_F(Stages, HandOverEveryLinearOnceInOrder) {
  for (const std::string& name : tiny_models()) {
    Model model(tiny_model(name), *backend_);
    Recorder recorder(*backend_, *model.weights, 1);
    Sequences sequences;
    sequences.append(std::vector<std::int32_t>{1, 2, 3, 4, 5});
    model.logits(sequences, &recorder);
    std::vector<const LinearSpec*> expected;
    for (const LayerSpec& layer : model.spec.layers)
      for (const LinearSpec* linear : linears_of(layer)) expected.push_back(linear);
    EXPECT_EQ(recorder.linears, expected) << name;
  }
}

TEST_F(Stages, ExpertBlocksChangeOrderButNotValues) {
  Model model(tiny_model("deepseek_fp8_yarn"), *backend_);
  const Sequences sequences = two_sequences();
  const auto plain = model.logits(sequences);
  for (const std::int64_t block : {1, 3, 100}) {
    Recorder recorder(*backend_, *model.weights, block);
    EXPECT_EQ(model.logits(sequences, &recorder), plain) << block;
    const auto first_mid =
        std::find_if(recorder.stages_seen.begin(), recorder.stages_seen.end(),
                     [](const stats::TapId& id) { return id.site == stats::Site::kExpertMid; });
    EXPECT_EQ(std::prev(first_mid)->expert, std::min<int>(static_cast<int>(block), 8) - 1);
  }
}

TEST_F(Stages, ObservedRowsAreSeenAndChangeNothing) {
  Model model(tiny_model("deepseek_fp8_yarn"), *backend_);
  const Sequences sequences = two_sequences();
  Recorder bare(*backend_, *model.weights, 2), topped(*backend_, *model.weights, 2);
  topped.top_up = true;
  EXPECT_EQ(model.logits(sequences, &topped), model.logits(sequences, &bare));
  std::int64_t extra = 0;
  for (const auto& [site, rows] : bare.rows) {
    const std::int64_t more = topped.rows.at(site) - rows;
    if (more == 0) continue;
    EXPECT_TRUE(site.site == stats::Site::kExpertIn || site.site == stats::Site::kExpertMid);
    EXPECT_EQ(topped.observed_only.at(site), rows);
    extra += more;
    for (const float weight : topped.weights.at(site)) EXPECT_GT(weight, 0.0F);
  }
  EXPECT_GT(extra, 0);
}

TEST_F(Stages, ExpertsWithoutTokensAreHandedOverAllTheSame) {
  Model model(tiny_model("deepseek_fp8_yarn"), *backend_);
  Sequences sequences;
  sequences.append(std::vector<std::int32_t>{3});
  Recorder recorder(*backend_, *model.weights, 4);
  model.logits(sequences, &recorder);
  int idle = 0;
  for (int e = 0; e < 8; ++e) idle += recorder.rows.at({1, stats::Site::kExpertIn, e}) == 0 ? 1 : 0;
  EXPECT_EQ(idle, 8 - 3);
}

// Reads nothing of what it does not need.
class CountingWeights final : public WeightSource {
 public:
  explicit CountingWeights(WeightSource& source) : source_(source) {}
  WeightHandle linear(const LinearSpec& spec) override {
    experts += spec.reads.expert >= 0 ? 1 : 0;
    return source_.linear(spec);
  }
  WeightHandle bias(const LinearSpec& spec) override { return source_.bias(spec); }
  WeightHandle vector(const VectorSpec& spec) override { return source_.vector(spec); }
  WeightHandle table(const LinearSpec& spec) override { return source_.table(spec); }
  void release(int layer) override { released.push_back(layer); }

  int experts = 0;
  std::vector<int> released;

 private:
  WeightSource& source_;
};

TEST_F(Stages, PlainRunnerLoadsOnlyExpertsThatHaveTokens) {
  Model model(tiny_model("deepseek_fp8_yarn"), *backend_);
  CountingWeights counting(*model.weights);
  const auto runner = make_plain_runner(*backend_, counting);
  const auto store = make_memory_store(*backend_);
  Sequences sequences;
  sequences.append(std::vector<std::int32_t>{3});
  ForwardContext context{*backend_, counting, *store, sequences, *runner};
  forward_embedding(context, model.spec);
  forward_layer(context, model.spec.layers[0]);
  forward_layer(context, model.spec.layers[1]);
  EXPECT_EQ(counting.experts, 3 * 3);
  EXPECT_EQ(counting.released, (std::vector<int>{0, 1}));
  for (const Slot slot :
       {Slot::kQuery, Slot::kKvLatent, Slot::kQueryLatent, Slot::kMlpIn, Slot::kMid})
    EXPECT_FALSE(store->has(slot));
}

class CountingTap final : public stats::Tap {
 public:
  void observe(const stats::TapId& id, tensor::ConstMatrixView x,
               std::span<const float> row_weights) override {
    EXPECT_TRUE(row_weights.empty() || static_cast<std::int64_t>(row_weights.size()) == x.rows);
    rows[id] += x.rows;
  }
  std::map<stats::TapId, std::int64_t> rows;
};

TEST_F(Stages, ATapSeesEveryHiddenStateOnce) {
  Model model(tiny_model("deepseek_no_q_lora_one_group"), *backend_);
  CountingTap tap;
  const auto runner = make_plain_runner(*backend_, *model.weights, &tap);
  const Sequences sequences = two_sequences();
  model.logits(sequences, runner.get());
  EXPECT_EQ(tap.rows.at({0, stats::Site::kAttnIn}), sequences.tokens());
  EXPECT_EQ(tap.rows.at({2, stats::Site::kMlpIn}),
            sequences.tokens());  // no shared expert reads it
  std::int64_t routed = 0;
  for (const auto& [id, rows] : tap.rows) routed += id.site == stats::Site::kExpertMid ? rows : 0;
  EXPECT_EQ(routed, 3 * sequences.tokens());
}

TEST_F(Stages, SequencesDoNotSeeEachOther) {
  for (const char* name : {"deepseek_fp8_yarn", "llama_dynamic_long"}) {
    Model model(tiny_model(name), *backend_);
    const Sequences both = two_sequences();
    const auto together = model.logits(both);
    auto apart = model.logits(std::span(both.ids).first(23));
    const auto second = model.logits(std::span(both.ids).last(9));
    apart.insert(apart.end(), second.begin(), second.end());
    EXPECT_LT(relative_difference(together, apart), 1e-6) << name;
  }
}

TEST(Tiles, AreWholeSequencesOfEnoughTokens) {
  Sequences sequences;
  for (const int length : {900, 900, 900, 0, 5000, 10})
    sequences.append(std::vector<std::int32_t>(static_cast<std::size_t>(length), 1));
  const auto tiles = tiles_of(sequences);
  ASSERT_EQ(tiles.size(), 3U);
  EXPECT_EQ(tiles[0].rows, 2700);
  EXPECT_EQ(tiles[1].first_row, 2700);
  EXPECT_EQ(tiles[1].sequences, 2);
  EXPECT_EQ(tiles[2].rows, 10);
  EXPECT_TRUE(tiles_of(Sequences{}).empty());
}

TEST_F(Stages, TokensOutsideTheVocabularyAreRefused) {
  Model model(tiny_model("llama_linear_tied"), *backend_);
  expect_error(base::ErrorKind::kInput, "token 1", "id 72; expected 0 to 71", [&] {
    model.logits(std::vector<std::int32_t>{1, 72});
  });
}

}  // namespace
}  // namespace whit::model::testing
