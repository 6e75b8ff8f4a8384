#include <gtest/gtest.h>

#include <algorithm>

#include "model/support.h"
#include "numeric/float_codec.h"

// How hidden states are kept between a layer's linears.
namespace whit::model::testing {
namespace {

struct Kept {
  bool recompute = false;
  tensor::Dtype dtype = tensor::Dtype::kF32;
};

std::vector<float> logits_of(Model& model, const Sequences& sequences, const Kept& kept) {
  const auto store = make_memory_store(model.backend, kept.dtype);
  const auto runner = make_plain_runner(model.backend, *model.weights);
  ForwardContext context{model.backend, *model.weights, *store, sequences, *runner};
  context.recompute = kept.recompute;
  forward_embedding(context, model.spec);
  for (const LayerSpec& layer : model.spec.layers) forward_layer(context, layer);
  const auto logits = forward_head(context, model.spec, 0, sequences.tokens());
  return tensor::to_f32_vector(model.backend.memory().download(logits.view()).view());
}

class HiddenStatesOfTinyModels : public ::testing::TestWithParam<std::string> {
 protected:
  HiddenStatesOfTinyModels() {
    const Golden golden = golden_of(GetParam());
    sequences_.append(std::span(golden.ids).first(9));
    sequences_.append(std::span(golden.ids).subspan(9, 12));
  }
  std::unique_ptr<compute::Backend> backend_ = make_backend("cpu");
  Model model_{tiny_model(GetParam()), *backend_};
  Sequences sequences_;
};

TEST_P(HiddenStatesOfTinyModels, WhatIsComputedAgainIsTheSame) {
  EXPECT_EQ(logits_of(model_, sequences_, {true, tensor::Dtype::kF32}),
            logits_of(model_, sequences_, {false, tensor::Dtype::kF32}));
}

TEST_P(HiddenStatesOfTinyModels, NarrowOnesAreNear) {
  const auto wide = logits_of(model_, sequences_, {});
  const auto narrow = logits_of(model_, sequences_, {false, tensor::Dtype::kBF16});
  EXPECT_NE(narrow, wide);
  // Tokens near a tie go to other experts.
  const bool routed = std::any_of(
      model_.spec.layers.begin(), model_.spec.layers.end(),
      [](const LayerSpec& layer) { return std::holds_alternative<MoeSpec>(layer.mlp); });
  // A rounding by 2^-9 at most after every linear.
  if (!routed) {
    EXPECT_LT(relative_difference(narrow, wide), 0.05);
  }
}

INSTANTIATE_TEST_SUITE_P(All, HiddenStatesOfTinyModels, ::testing::ValuesIn(tiny_models()),
                         [](const auto& tested) { return tested.param; });

TEST(NarrowStore, RoundsWhatIsWrittenAndAddedTo) {
  const auto backend = make_backend("cpu");
  const auto store = make_memory_store(*backend, tensor::Dtype::kBF16);
  store->create(Slot::kHidden, 3, 2);
  {
    const auto rows = store->lease(Slot::kHidden, 1, 2, ActivationStore::Access::kWrite);
    for (int i = 0; i < 4; ++i)
      rows->view().row<float>(i / 2)[i % 2] = 1.001F * static_cast<float>(i + 1);
  }
  {
    const auto read = store->lease(Slot::kHidden, 0, 3, ActivationStore::Access::kRead);
    EXPECT_EQ(read->view().row<float>(0)[0], 0.0F);
    EXPECT_EQ(read->view().row<float>(1)[0], 1.0F);
    read->view().row<float>(1)[0] = 7.0F;  // of a copy
  }
  {
    const auto more = store->lease(Slot::kHidden, 1, 1, ActivationStore::Access::kUpdate);
    more->view().row<float>(0)[0] += 2.0F;
  }
  const std::vector<std::int32_t> rows{1};
  tensor::Tensor x = tensor::make_f32({1, 2}, std::vector<float>{0, 0});
  store->gather(Slot::kHidden, rows, x.matrix());
  EXPECT_EQ(x.as<float>()[0], 3.0F);
  store->scatter_add(Slot::kHidden, rows, std::vector<float>{0.5F}, std::as_const(x).matrix());
  store->gather(Slot::kHidden, rows, x.matrix());
  EXPECT_EQ(x.as<float>()[0], 4.5F);
}

}  // namespace
}  // namespace whit::model::testing
