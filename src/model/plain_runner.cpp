#include "model/forward.h"

namespace whit::model {

using tensor::MatrixView;

namespace {

// A matrix whose memory is kept from stage to stage.
class Scratch {
 public:
  MatrixView take(compute::Backend& backend, std::int64_t rows, std::int64_t cols) {
    if (buffer_.empty() || buffer_.elements() < rows * cols)
      buffer_ = backend.memory().allocate({rows * cols}, tensor::Dtype::kF32);
    return {buffer_.data(), tensor::Dtype::kF32, rows, cols, cols, buffer_.device()};
  }

 private:
  tensor::Tensor buffer_;
};

// One piece of a hidden state as each of its linears reads it. Linears that round it alike, one
// after the other, share the rounded copy.
class ServedInput {
 public:
  ServedInput(compute::Backend& backend, const Serving* serving, Scratch& scratch, MatrixView x)
      : backend_(backend), serving_(serving), scratch_(scratch), x_(x) {}

  tensor::ConstMatrixView of(const LinearSpec& linear) {
    const auto* rounding = serving_ == nullptr ? nullptr : serving_->input(linear);
    if (rounding == nullptr) return x_;
    if (last_ == nullptr || *rounding != *last_) {
      rounded_ = scratch_.take(backend_, x_.rows, x_.cols);
      backend_.memory().copy(x_, rounded_);
      backend_.codec().round_fp8(rounded_, *rounding);
      last_ = rounding;
    }
    return rounded_;
  }

 private:
  compute::Backend& backend_;
  const Serving* serving_;
  Scratch& scratch_;
  MatrixView x_, rounded_;
  const scheme::Float8Rounding* last_ = nullptr;
};

class PlainRunner final : public StageRunner {
 public:
  PlainRunner(compute::Backend& backend, WeightSource& weights, stats::Tap* tap, Observer* observer,
              const Serving* serving)
      : backend_(&backend), weights_(&weights), tap_(tap), observer_(observer), serving_(serving) {}

  void run(std::span<Stage> stages) override {
    for (Stage& stage : stages) apply(stage);
  }

  std::int64_t expert_block(const LayerSpec& /*layer*/) override { return 1; }

  std::vector<std::int32_t> extra_rows(const LayerSpec& /*layer*/, int /*expert*/,
                                       std::span<const std::int32_t> /*routed*/,
                                       std::span<const float> /*scores*/) override {
    return {};
  }

  bool wants_scores() const override { return false; }

 private:
  struct Loaded {
    WeightHandle weight, bias;
  };

  void apply(Stage& stage) {
    if (stage.piece_rows.empty()) return observe_unused(stage);
    if (stage.linears.empty() && tap_ == nullptr && observer_ == nullptr) return;
    std::vector<Loaded> loaded;
    for (const LinearSpec* linear : stage.linears)
      loaded.push_back({weights_->linear(*linear), weights_->bias(*linear)});
    if (observer_ != nullptr)
      for (std::size_t i = 0; i < loaded.size(); ++i)
        if (observer_->wants_weight(*stage.linears[i]))
          observer_->weight(*stage.linears[i], loaded[i].weight->matrix());
    if (stage.keep_weights) {
      std::vector<WeightHandle> weights;
      for (const Loaded& linear : loaded) weights.push_back(linear.weight);
      return stage.keep_weights(weights);
    }
    if (outputs_.size() < loaded.size()) outputs_.resize(loaded.size());
    std::size_t first_row = 0;
    for (std::size_t piece = 0; piece < stage.piece_rows.size(); ++piece) {
      const std::int64_t rows = stage.piece_rows[piece];
      const MatrixView x = input_.take(*backend_, rows, stage.width);
      stage.produce(piece, x);
      observe(stage, x, first_row);
      apply(stage, loaded, piece, x);
      first_row += static_cast<std::size_t>(rows);
    }
  }

  // An expert that no token reached.
  void observe_unused(const Stage& stage) {
    if (observer_ == nullptr) return;
    for (const LinearSpec* linear : stage.linears)
      if (observer_->wants_weight(*linear))
        observer_->weight(*linear, weights_->linear(*linear)->matrix());
  }

  void observe(const Stage& stage, MatrixView x, std::size_t first_row) {
    if (observer_ != nullptr) observer_->input(stage, x);
    if (tap_ == nullptr || stage.observed_before) return;
    std::span<const float> row_weights(stage.row_weights);
    if (!row_weights.empty())
      row_weights = row_weights.subspan(first_row, static_cast<std::size_t>(x.rows));
    tap_->observe(stage.site, x, row_weights);
  }

  void apply(Stage& stage, const std::vector<Loaded>& loaded, std::size_t piece, MatrixView x) {
    std::vector<MatrixView> y;
    ServedInput input(*backend_, serving_, rounded_, x);
    for (std::size_t i = 0; i < loaded.size(); ++i) {
      const LinearSpec& linear = *stage.linears[i];
      y.push_back(outputs_[i].take(*backend_, x.rows, linear.out_features));
      const bool wanted = observer_ != nullptr && observer_->wants_output(linear);
      const float* bias = loaded[i].bias ? loaded[i].bias->as<float>() : nullptr;
      backend_->linalg().linear(input.of(linear), loaded[i].weight->matrix(),
                                wanted ? nullptr : bias, y[i]);
      if (!wanted) continue;
      observer_->output(linear, y[i]);
      if (bias != nullptr) add_to_rows(*loaded[i].bias, y[i]);
    }
    stage.consume(piece, y);
  }

  // The bias as a matrix whose rows are all the same one.
  void add_to_rows(const tensor::Tensor& bias, MatrixView y) {
    const tensor::ConstMatrixView rows{bias.data(), tensor::Dtype::kF32, y.rows, y.cols,
                                       0,           bias.device()};
    backend_->neural().add(y, rows);
  }

  compute::Backend* backend_;
  WeightSource* weights_;
  stats::Tap* tap_;
  Observer* observer_;
  const Serving* serving_;
  Scratch input_, rounded_;
  std::vector<Scratch> outputs_;
};

}  // namespace

std::unique_ptr<StageRunner> make_plain_runner(compute::Backend& backend, WeightSource& weights,
                                               stats::Tap* tap, Observer* observer) {
  return std::make_unique<PlainRunner>(backend, weights, tap, observer, nullptr);
}

std::unique_ptr<StageRunner> make_serving_runner(compute::Backend& backend, WeightSource& weights,
                                                 const Serving* serving) {
  return std::make_unique<PlainRunner>(backend, weights, nullptr, nullptr, serving);
}

}  // namespace whit::model
