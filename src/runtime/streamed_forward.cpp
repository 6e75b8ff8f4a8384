#include "runtime/streamed_forward.h"

#include <algorithm>
#include <string>
#include <utility>

namespace whit::runtime {

namespace {

std::uint64_t f32_bytes(std::int64_t elements) {
  return static_cast<std::uint64_t>(elements) * sizeof(float);
}

// Columns per token that a layer keeps between its stages, besides the hidden state.
std::int64_t attention_columns(const model::GqaSpec& a) {
  return (a.layout == model::QkvLayout::kGroups ? 2 : 1) * model::out_columns(a.qkv);
}

std::int64_t attention_columns(const model::MlaSpec& a) {
  return a.q_b.out_features + a.kv_b.out_features + a.kv_a.out_features +
         (a.q_a ? a.q_a->out_features : 0);
}

std::int64_t mlp_columns(const model::MlpSpec& mlp, std::int64_t hidden) {
  return hidden + mlp.down.in_features;
}

// As if every token went to the expert at hand.
std::int64_t mlp_columns(const model::MoeSpec& moe, std::int64_t hidden) {
  const std::int64_t expert = moe.experts.empty() ? 0 : moe.experts.front().down.in_features;
  const std::int64_t shared = moe.shared ? moe.shared->down.in_features : 0;
  return 2 * hidden + std::max(expert, shared) + 4 * moe.router.top_k +
         static_cast<std::int64_t>(moe.experts.size());
}

std::int64_t weight_elements(const model::LinearSpec& linear) {
  return linear.out_features * linear.in_features;
}

// Columns of the widest linear of a layer, in or out.
std::int64_t widest(const model::LayerSpec& layer) {
  std::int64_t columns = 0;
  for (const auto* linear : model::linears_of(layer))
    columns = std::max({columns, linear->in_features, linear->out_features});
  return columns;
}

}  // namespace

// The head is needed once a tile of rows; decoding it once is enough.
class StreamedForward::HeadKeeper final : public model::WeightSource {
 public:
  HeadKeeper(model::WeightSource& source, const std::string& head) : source_(source), head_(head) {}

  model::WeightHandle linear(const model::LinearSpec& spec) override {
    if (spec.module != head_) return source_.linear(spec);
    if (!kept_) kept_ = source_.linear(spec);
    return kept_;
  }
  model::WeightHandle bias(const model::LinearSpec& spec) override { return source_.bias(spec); }
  model::WeightHandle vector(const model::VectorSpec& spec) override {
    return source_.vector(spec);
  }
  model::WeightHandle table(const model::LinearSpec& spec) override { return source_.table(spec); }
  void release(int layer) override { source_.release(layer); }
  void forget() { kept_ = {}; }

 private:
  model::WeightSource& source_;
  std::string head_;
  model::WeightHandle kept_;
};

StreamedForward::StreamedForward(compute::Backend& backend, const model::ModelSpec& spec,
                                 model::WeightSource& weights, const model::Sequences& sequences,
                                 std::unique_ptr<model::ActivationStore> store,
                                 const model::Serving* serving)
    : spec_(spec),
      weights_(std::make_unique<HeadKeeper>(weights, spec.head.module)),
      store_(store ? std::move(store) : model::make_memory_store(backend)),
      runner_(model::make_serving_runner(backend, *weights_, serving)),
      context_{backend, *weights_, *store_, sequences, *runner_} {
  context_.serving = serving;
}

StreamedForward::~StreamedForward() = default;

void StreamedForward::run(const std::function<void(std::int64_t, std::int64_t)>& after) {
  const auto total = static_cast<std::int64_t>(spec_.layers.size());
  model::forward_embedding(context_, spec_);
  for (std::int64_t i = 0; i < total; ++i) {
    const auto& layer = spec_.layers[static_cast<std::size_t>(i)];
    model::forward_layer(context_, layer);
    weights_->release(layer.index);
    after(i + 1, total);
  }
}

tensor::Tensor StreamedForward::head(std::int64_t first_row, std::int64_t rows) {
  return model::forward_head(context_, spec_, first_row, rows);
}

void StreamedForward::release_head() {
  weights_->forget();
}

std::int64_t head_rows(const model::ModelSpec& spec) {
  constexpr std::int64_t kTileElements = std::int64_t{16} << 20;
  return std::clamp<std::int64_t>(kTileElements / std::max<std::int64_t>(spec.vocabulary, 1), 16,
                                  model::kTileTokens);
}

std::uint64_t activation_bytes_per_token(const model::ModelSpec& spec) {
  std::int64_t columns = 0;
  for (const auto& layer : spec.layers) {
    const auto attention =
        std::visit([](const auto& a) { return attention_columns(a); }, layer.attention);
    const auto mlp =
        std::visit([&](const auto& m) { return mlp_columns(m, spec.hidden); }, layer.mlp);
    columns = std::max({columns, attention, mlp}) + (layer.parallel ? spec.hidden : 0);
  }
  return f32_bytes(columns + spec.hidden);
}

std::uint64_t working_bytes(const model::ModelSpec& spec) {
  std::int64_t tile_columns = 0;
  std::int64_t weights = 0;
  for (const auto& layer : spec.layers) {
    std::int64_t sum = 0;
    for (const auto* linear : model::linears_of(layer))
      if (linear->reads.expert < 0) sum += weight_elements(*linear);
    if (const auto* moe = std::get_if<model::MoeSpec>(&layer.mlp); moe && !moe->experts.empty()) {
      const auto& expert = moe->experts.front();
      for (const auto& linear : expert.in) sum += weight_elements(linear);
      sum += weight_elements(expert.down);
    }
    weights = std::max(weights, sum);
    tile_columns = std::max(tile_columns, 4 * widest(layer));
  }
  const std::int64_t head = 2 * spec.vocabulary * spec.hidden;
  return f32_bytes(weights + head + tile_columns * model::kTileTokens +
                   2 * head_rows(spec) * spec.vocabulary);
}

}  // namespace whit::runtime
