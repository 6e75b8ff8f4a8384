#include "pipeline/output_weights.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "formats/format.h"
#include "numeric/round_to.h"
#include "pipeline/carry_over.h"
#include "pipeline/decode_on.h"

namespace whit::pipeline {

void round_to(tensor::Tensor& values, tensor::Dtype dtype) {
  if (dtype == tensor::Dtype::kF32) return;
  float* data = values.as<float>();
  const std::int64_t count = values.elements();
  for (std::int64_t i = 0; i < count; ++i) data[i] = numeric::round_to(data[i], dtype);
}

namespace {

// The sizes of vector codes stand in the config alone, which is not written yet.
formats::PackedReader make_reader(const Plan& plan, const checkpoint::Checkpoint& shards) {
  if (plan.bound.vectors.empty()) return formats::PackedReader(shards);
  return {shards, quantization_of(plan)};
}

class ResumedWeights final : public ForwardingWeights {
 public:
  ResumedWeights(const Plan& plan, model::WeightSource& inner, const checkpoint::Checkpoint& shards,
                 compute::Backend& backend)
      : ForwardingWeights(inner),
        plan_(plan),
        reader_(make_reader(plan, shards)),
        written_(model::make_checkpoint_weights(shards, backend)),
        backend_(backend) {}

  model::WeightHandle linear(const model::LinearSpec& spec) override {
    if (plan_.refits(spec.weight())) return written_->linear(spec);
    if (!plan_.bound.quantizes(spec)) return inner_.linear(spec);
    const auto weight = reader_.read(spec.module);
    base::check(weight.has_value(), "a finished step holds its quantized weights");
    return std::make_shared<const tensor::Tensor>(decode_on(backend_, *weight));
  }

 private:
  const Plan& plan_;
  formats::PackedReader reader_;
  std::unique_ptr<model::WeightSource> written_;
  compute::Backend& backend_;
};

}  // namespace

OutputWeights::OutputWeights(const Plan& plan, model::WeightSource& source,
                             compute::Backend& backend)
    : ForwardingWeights(source), plan_(plan), backend_(backend) {}

model::WeightHandle OutputWeights::linear(const model::LinearSpec& spec) {
  auto weight = inner_.linear(spec);
  const auto dtype = plan_.bound.recipe.dtype;
  const bool dequantized =
      std::binary_search(plan_.dequantized.begin(), plan_.dequantized.end(), spec.weight());
  if (dtype == tensor::Dtype::kF32 || !dequantized) return weight;
  tensor::Tensor host = backend_.memory().download(weight->view());
  round_to(host, dtype);
  return std::make_shared<const tensor::Tensor>(backend_.memory().upload(host.view()));
}

model::WeightHandle OutputWeights::table(const model::LinearSpec& spec) {
  const bool moved = table_ != nullptr && spec.module == plan_.spec.embedding.module;
  return moved ? table_ : inner_.table(spec);
}

std::unique_ptr<model::WeightSource> make_resumed_weights(const Plan& plan,
                                                          model::WeightSource& output_weights,
                                                          const checkpoint::Checkpoint& shards,
                                                          compute::Backend& backend) {
  return std::make_unique<ResumedWeights>(plan, output_weights, shards, backend);
}

}  // namespace whit::pipeline
