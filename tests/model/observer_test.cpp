#include "model/observer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "model/support.h"

namespace whit::model::testing {
namespace {

// Wants everything, and keeps what the rest is compared with.
class Watcher final : public Observer {
 public:
  explicit Watcher(compute::Backend& backend) : backend_(backend) {}

  bool wants_weight(const LinearSpec&) const override { return true; }
  bool wants_output(const LinearSpec&) const override { return true; }
  bool wants_mixture(const LayerSpec&) const override { return true; }
  void weight(const LinearSpec& linear, tensor::ConstMatrixView w) override {
    EXPECT_EQ(w.rows, linear.out_features);
    EXPECT_EQ(w.cols, linear.in_features);
    ++weights[&linear];
  }
  void input(const Stage& stage, tensor::ConstMatrixView x) override {
    EXPECT_EQ(x.cols, stage.width);
    rows[stage.site] += x.rows;
  }
  void output(const LinearSpec& linear, tensor::ConstMatrixView y) override {
    EXPECT_EQ(y.cols, linear.out_features);
    made[&linear] += y.rows;
  }
  void attention(const LayerSpec&, const compute::AttentionArgs& args,
                 std::span<const std::int64_t> starts) override {
    attended += args.q.data.rows;
    ASSERT_GE(starts.size(), 2U);
    EXPECT_EQ(starts.front(), 0);
    EXPECT_EQ(starts.back(), args.q.data.rows);
    EXPECT_EQ(args.k.data.rows, args.q.data.rows);
  }
  void latent(const LayerSpec& layer, tensor::ConstMatrixView x) override {
    const auto& spec = std::get<MlaSpec>(layer.attention);
    EXPECT_EQ(x.cols, spec.kv_rank + spec.rope_dim);
    latents += x.rows;
  }
  void mixture(const LayerSpec&, tensor::ConstMatrixView y) override {
    mixed += y.rows;
    tensor::Tensor most({1, y.cols}, tensor::Dtype::kF32);
    backend_.linalg().column_max_abs(y, most.matrix());
    for (std::int64_t j = 0; j < y.cols; ++j) EXPECT_TRUE(std::isfinite(most.as<float>()[j]));
  }

  std::map<const LinearSpec*, std::int64_t> weights, made;
  std::map<stats::TapId, std::int64_t> rows;
  std::int64_t attended = 0, latents = 0, mixed = 0;

 private:
  compute::Backend& backend_;
};

std::vector<float> forward(Model& model, const Sequences& sequences, Observer* observer) {
  const auto store = make_memory_store(model.backend);
  const auto runner = make_plain_runner(model.backend, *model.weights, nullptr, observer);
  ForwardContext context{model.backend, *model.weights, *store,  sequences,
                         *runner,       nullptr,        observer};
  forward_embedding(context, model.spec);
  for (const LayerSpec& layer : model.spec.layers) forward_layer(context, layer);
  const auto logits = forward_head(context, model.spec, 0, sequences.tokens());
  return tensor::to_f32_vector(model.backend.memory().download(logits.view()).view());
}

class ObserverOfTinyModels : public ::testing::TestWithParam<std::string> {};

TEST_P(ObserverOfTinyModels, SeesEverythingAndChangesNothing) {
  const auto backend = make_backend("cpu");
  Model model(tiny_model(GetParam()), *backend);
  const Golden golden = golden_of(GetParam());
  Sequences sequences;
  sequences.append(std::span(golden.ids).first(9));
  sequences.append(std::span(golden.ids).subspan(9, 12));
  Watcher watcher(*backend);
  EXPECT_EQ(forward(model, sequences, &watcher), forward(model, sequences, nullptr));
  const std::int64_t tokens = sequences.tokens();
  for (const LayerSpec& layer : model.spec.layers) {
    for (const LinearSpec* linear : linears_of(layer)) {
      EXPECT_EQ(watcher.weights[linear], 1) << linear->module;
      // A mixture's input is shown to the router and to the shared expert.
      if (linear->reads.expert < 0) {
        EXPECT_EQ(watcher.made[linear], tokens) << linear->module;
      }
    }
    if (const auto* moe = std::get_if<MoeSpec>(&layer.mlp)) {
      std::int64_t routed = 0;
      for (const auto& expert : moe->experts) {
        routed += watcher.rows[expert.in.front().reads];
        EXPECT_EQ(watcher.made[&expert.down], watcher.rows[expert.in.front().reads]);
      }
      EXPECT_EQ(routed, tokens * moe->router.top_k);
      watcher.mixed -= tokens;
    }
    if (std::holds_alternative<MlaSpec>(layer.attention)) watcher.latents -= tokens;
    watcher.attended -= tokens;
  }
  EXPECT_EQ(watcher.attended, 0);
  EXPECT_EQ(watcher.latents, 0);
  EXPECT_EQ(watcher.mixed, 0);
}

INSTANTIATE_TEST_SUITE_P(All, ObserverOfTinyModels, ::testing::ValuesIn(tiny_models()),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace whit::model::testing
