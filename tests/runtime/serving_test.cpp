#include "runtime/serving.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/forward.h"
#include "runtime/demo_model.h"
#include "runtime/streamed_forward.h"
#include "runtime/weights.h"

namespace whit::runtime {
namespace {

// Rounds all inputs, or all caches, in the coarsest way that shows.
class Coarse final : public model::Serving {
 public:
  explicit Coarse(bool inputs, bool caches) : inputs_(inputs), caches_(caches) {}
  const scheme::Float8Rounding* input(const model::LinearSpec& linear) const override {
    return inputs_ && linear.quantizable ? &rounding_ : nullptr;
  }
  const Cache* cache(const model::LayerSpec&) const override { return caches_ ? &cache_ : nullptr; }

 private:
  bool inputs_, caches_;
  scheme::Float8Rounding rounding_{tensor::Dtype::kF8E5M2, 57344, 0, 0};
  Cache cache_{rounding_, rounding_};
};

class ServingTest : public ::testing::Test {
 protected:
  std::vector<float> logits(const model::Serving* serving) {
    model::Sequences sequences;
    sequences.append(std::vector<std::int32_t>{0, 480, 729, 439, 94, 491});
    const auto weights = make_stored_weights(model_.checkpoint, *backend_);
    StreamedForward forward(*backend_, model_.spec, *weights, sequences, nullptr, serving);
    forward.run([](std::int64_t, std::int64_t) {});
    return tensor::to_f32_vector(
        backend_->memory().download(forward.head(0, sequences.tokens()).view()).view());
  }
  static double distance(const std::vector<float>& a, const std::vector<float>& b) {
    double most = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
      most = std::max(most, std::abs(double{a[i]} - double{b[i]}));
    return most;
  }

  std::unique_ptr<compute::Backend> backend_ = compute::make_cpu_backend(2);
  OpenModel model_ = open_model(whit::testing::demo_folder());
};

TEST_F(ServingTest, RoundsInputsAndCachesEachOnItsOwn) {
  const auto plain = logits(nullptr);
  const Coarse nothing(false, false), inputs(true, false), caches(false, true), both(true, true);
  EXPECT_EQ(distance(logits(&nothing), plain), 0);
  const double by_inputs = distance(logits(&inputs), plain);
  const double by_caches = distance(logits(&caches), plain);
  EXPECT_GT(by_inputs, 0.01);
  EXPECT_GT(by_caches, 0.01);
  EXPECT_LT(by_caches, by_inputs);
  EXPECT_GT(distance(logits(&both), logits(&inputs)), 0.01);
}

// An original in DeepSeek's FP8 is judged by its weights unless it is to be served.
TEST_F(ServingTest, OriginalsAreServedOnRequest) {
  const auto usual = make_serving(model_.checkpoint, model_.spec, ServeMode::kAuto);
  EXPECT_EQ(usual.serving, nullptr);
  ASSERT_EQ(usual.notes.size(), 1U);
  EXPECT_NE(usual.notes[0].find("--served"), std::string::npos);
  const auto served = make_serving(model_.checkpoint, model_.spec, ServeMode::kFull);
  ASSERT_NE(served.serving, nullptr);
  const auto* o = &std::get<model::MlaSpec>(model_.spec.layers[0].attention).o;
  ASSERT_NE(served.serving->input(*o), nullptr);
  EXPECT_EQ(served.serving->input(*o)->piece, 128);
  EXPECT_EQ(served.serving->input(model_.spec.head), nullptr);
  EXPECT_EQ(make_serving(model_.checkpoint, model_.spec, ServeMode::kWeightsOnly).serving, nullptr);
}

}  // namespace
}  // namespace whit::runtime
