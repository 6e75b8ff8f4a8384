// A metric says which errors in a linear's output the attention feels: errors along its first
// direction must change the attention's output more than errors along its last.
#include "model/attention_metric.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "model/support.h"

namespace whit::model::testing {
namespace {

// Adds direction ⊗ along to one linear's weight, and leaves the attention alone in its layer.
class Perturbed final : public WeightSource {
 public:
  Perturbed(WeightSource& inner, const LinearSpec& target, std::vector<double> direction,
            std::uint32_t seed)
      : inner_(inner), target_(target), direction_(std::move(direction)), seed_(seed) {}

  WeightHandle linear(const LinearSpec& spec) override {
    const WeightHandle weight = inner_.linear(spec);
    tensor::Tensor moved(weight->shape(), tensor::Dtype::kF32);
    if (ends_an_mlp(spec)) return std::make_shared<const tensor::Tensor>(std::move(moved));
    if (&spec != &target_) return weight;
    const std::vector<float> values = tensor::to_f32_vector(weight->view());
    std::mt19937 generator(seed_);
    std::vector<double> along;
    for (std::int64_t k = 0; k < spec.in_features; ++k)
      along.push_back(generator() % 2 == 0 ? 0.02 : -0.02);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto k = i % static_cast<std::size_t>(spec.in_features);
      const auto n = i / static_cast<std::size_t>(spec.in_features);
      moved.as<float>()[i] = values[i] + static_cast<float>(direction_[n] * along[k]);
    }
    return std::make_shared<const tensor::Tensor>(std::move(moved));
  }
  WeightHandle bias(const LinearSpec& spec) override { return inner_.bias(spec); }
  WeightHandle vector(const VectorSpec& spec) override { return inner_.vector(spec); }
  WeightHandle table(const LinearSpec& spec) override { return inner_.table(spec); }
  void release(int layer) override { inner_.release(layer); }

 private:
  static bool ends_an_mlp(const LinearSpec& spec) {
    using stats::Site;
    const Site site = spec.reads.site;
    return site == Site::kMlpMid || site == Site::kSharedMid || site == Site::kExpertMid;
  }

  WeightSource& inner_;
  const LinearSpec& target_;
  std::vector<double> direction_;
  std::uint32_t seed_;
};

// The direction that powers of shift * I + sign * M lead to, for the first block of rows.
std::vector<double> leading(const tensor::Tensor& metric, double shift, double sign) {
  const std::int64_t size = metric.shape()[1];
  std::mt19937 generator(1);
  std::normal_distribution<double> normal;
  std::vector<double> v;
  for (std::int64_t i = 0; i < size; ++i) v.push_back(normal(generator));
  for (int step = 0; step < 500; ++step) {
    std::vector<double> next;
    double norm = 0;
    for (std::int64_t i = 0; i < size; ++i) {
      double sum = shift * v[static_cast<std::size_t>(i)];
      for (std::int64_t j = 0; j < size; ++j)
        sum += sign * static_cast<double>(metric.as<float>()[i * size + j]) *
               v[static_cast<std::size_t>(j)];
      next.push_back(sum);
      norm += sum * sum;
    }
    for (double& value : next) value /= std::sqrt(norm);
    v = next;
  }
  return v;
}

double stretch(const tensor::Tensor& metric, const std::vector<double>& v) {
  double sum = 0;
  const std::int64_t size = metric.shape()[1];
  for (std::int64_t i = 0; i < size; ++i)
    for (std::int64_t j = 0; j < size; ++j)
      sum += v[static_cast<std::size_t>(i)] * v[static_cast<std::size_t>(j)] *
             static_cast<double>(metric.as<float>()[i * size + j]);
  return sum;
}

class AttentionMetric : public ::testing::Test {
 protected:
  explicit AttentionMetric() {
    std::mt19937 generator(9);
    for (int s = 0; s < 4; ++s) {
      std::vector<std::int32_t> ids;
      for (int i = 0; i < 40; ++i) ids.push_back(static_cast<std::int32_t>(generator() % 60));
      sequences_.append(ids);
    }
  }

  std::vector<float> after_layer(Model& model, WeightSource& weights, const LayerSpec& layer) {
    const auto store = make_memory_store(*backend_);
    const auto runner = make_plain_runner(*backend_, weights);
    ForwardContext context{*backend_, weights, *store, sequences_, *runner};
    forward_embedding(context, model.spec);
    forward_layer(context, layer);
    const auto lease =
        store->lease(Slot::kHidden, 0, sequences_.tokens(), ActivationStore::Access::kRead);
    tensor::Tensor copy({sequences_.tokens(), model.spec.hidden}, tensor::Dtype::kF32);
    backend_->memory().copy(lease->view(), copy.matrix());
    return tensor::to_f32_vector(copy.view());
  }

  double change(Model& model, const LayerSpec& layer, const LinearSpec& linear,
                std::vector<double> direction) {
    direction.resize(static_cast<std::size_t>(linear.out_features));
    Perturbed still(*model.weights, linear, std::vector<double>(direction.size()), 0);
    const auto before = after_layer(model, still, layer);
    double sum = 0;
    for (std::uint32_t seed = 0; seed < 4; ++seed) {
      Perturbed perturbed(*model.weights, linear, direction, seed);
      const auto after = after_layer(model, perturbed, layer);
      for (std::size_t i = 0; i < before.size(); ++i)
        sum += std::pow(static_cast<double>(after[i]) - static_cast<double>(before[i]), 2);
    }
    return std::sqrt(sum);
  }

  void expect_felt(const fs::path& folder) {
    Model model(folder, *backend_);
    const LayerSpec& layer = model.spec.layers.front();
    const auto store = make_memory_store(*backend_);
    const auto runner = make_plain_runner(*backend_, *model.weights);
    ForwardContext context{*backend_, *model.weights, *store, sequences_, *runner};
    forward_embedding(context, model.spec);
    const auto metrics = attention_metrics(context, layer, 1000);
    const auto* gqa = std::get_if<GqaSpec>(&layer.attention);
    ASSERT_GE(metrics.size(), gqa != nullptr ? gqa->qkv.size() : 3U);
    for (const LinearMetric& metric : metrics) {
      SCOPED_TRACE(metric.linear->module);
      EXPECT_EQ(metric.metric.shape()[0], metric.linear->out_features);
      EXPECT_EQ(metric.metric.shape()[1], metric_block(layer, *metric.linear));
      const auto first = leading(metric.metric, 0, 1);
      const double most = stretch(metric.metric, first);
      ASSERT_GT(most, 0);
      const auto last = leading(metric.metric, most, -1);
      const double expected = std::sqrt(most / std::max(stretch(metric.metric, last), 1e-9 * most));
      // A weight's error is no white noise over tokens, so the ratio is not the metric's own.
      const double ratio =
          change(model, layer, *metric.linear, first) / change(model, layer, *metric.linear, last);
      EXPECT_GT(ratio, std::max(1.0, 0.15 * std::min(expected, 10.0)))
          << "expected about " << expected;
    }
  }

  std::unique_ptr<compute::Backend> backend_ = make_backend("cpu");
  Sequences sequences_;
};

TEST_F(AttentionMetric, OfLatentAttentionIsFelt) {
  expect_felt(kDemo);
}

TEST_F(AttentionMetric, OfGroupedAttentionIsFelt) {
  for (const std::string& name : tiny_models())
    if (name.find("deepseek") == std::string::npos) {
      SCOPED_TRACE(name);
      expect_felt(tiny_model(name));
    }
}

TEST_F(AttentionMetric, OneTokenFeelsNoQueries) {
  Model model(kDemo, *backend_);
  Sequences one;
  one.append(std::vector<std::int32_t>{5});
  const auto store = make_memory_store(*backend_);
  const auto runner = make_plain_runner(*backend_, *model.weights);
  ForwardContext context{*backend_, *model.weights, *store, one, *runner};
  forward_embedding(context, model.spec);
  const auto& mla = std::get<MlaSpec>(model.spec.layers.front().attention);
  for (const auto& metric : attention_metrics(context, model.spec.layers.front(), 1))
    if (metric.linear == &mla.q_b) {
      for (const float value : tensor::to_f32_vector(metric.metric.view()))
        EXPECT_NEAR(value, 0, 1e-9);
    }
}

}  // namespace
}  // namespace whit::model::testing
