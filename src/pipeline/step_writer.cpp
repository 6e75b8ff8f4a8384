#include "pipeline/step_writer.h"

#include <utility>

#include "base/error.h"
#include "numeric/float_codec.h"
#include "pipeline/output_weights.h"

namespace whit::pipeline {

namespace {

// F32 values that are exact in `dtype`, in that dtype.
tensor::Tensor narrow(const tensor::Tensor& values, tensor::Dtype dtype) {
  if (dtype == tensor::Dtype::kF32) {
    return tensor::make_f32(values.shape(),
                            {values.as<float>(), static_cast<std::size_t>(values.elements())});
  }
  tensor::Tensor out(values.shape(), dtype);
  const float* in = values.as<float>();
  auto* bits = out.as<std::uint16_t>();
  for (std::int64_t i = 0; i < values.elements(); ++i)
    bits[i] =
        dtype == tensor::Dtype::kBF16 ? numeric::f32_to_bf16(in[i]) : numeric::f32_to_f16(in[i]);
  return out;
}

}  // namespace

StepWriter::StepWriter(const Plan& plan, std::size_t step, const checkpoint::Checkpoint& source,
                       model::WeightSource& weights, compute::Backend& backend,
                       std::filesystem::path folder)
    : format_(plan.bound.recipe.format),
      source_(source),
      weights_(weights),
      backend_(backend),
      folder_(std::move(folder)) {
  for (const auto& shard : plan.shards)
    if (shard.step == step) shards_.push_back(&shard);
}

StepWriter::~StepWriter() = default;

void StepWriter::packed(const model::LinearSpec& linear, const scheme::QuantizedWeight& weight,
                        std::optional<float> input_scale) {
  for (auto& named : formats::encode_weight(format_, linear.module, weight, input_scale))
    waiting_.insert_or_assign(std::move(named.name), std::move(named.tensor));
  advance();
}

void StepWriter::cache(const model::LayerSpec& layer, float key, float value) {
  for (auto& named :
       formats::encode_cache(format_, attention_module(layer), caches_latent(layer), key, value))
    waiting_.insert_or_assign(std::move(named.name), std::move(named.tensor));
  advance();
}

model::WeightHandle StepWriter::refitted(const std::string& name, const tensor::Tensor& values) {
  tensor::Tensor host = backend_.memory().download(values.view());
  const tensor::Dtype dtype = dtype_of(name);
  round_to(host, dtype);
  waiting_.insert_or_assign(name, narrow(host, dtype));
  advance();
  return std::make_shared<const tensor::Tensor>(backend_.memory().upload(host.view()));
}

tensor::Dtype StepWriter::dtype_of(const std::string& name) const {
  for (const OutputShard* shard : shards_)
    for (const OutputTensor& tensor : shard->tensors)
      if (tensor.entry.name == name) return tensor.entry.dtype;
  base::fail(base::ErrorKind::kBug, name, "is not written by this step");
}

std::vector<ShardRecord> StepWriter::finish() {
  advance();
  base::check(shard_ == shards_.size(), "every tensor of a finished step was written");
  return std::move(records_);
}

void StepWriter::advance() {
  while (shard_ < shards_.size()) {
    const OutputShard& shard = *shards_[shard_];
    if (!writer_)
      writer_ = std::make_unique<checkpoint::SafetensorsWriter>(folder_ / shard.file,
                                                                shard.entries(), shard.metadata());
    while (tensor_ < shard.tensors.size()) {
      if (!write_next(shard.tensors[tensor_])) return;
      ++tensor_;
    }
    const std::string hash = writer_->finish();
    writer_.reset();
    records_.push_back({shard.file, std::filesystem::file_size(folder_ / shard.file), hash});
    ++shard_;
    tensor_ = 0;
  }
}

bool StepWriter::write_next(const OutputTensor& next) {
  switch (next.origin) {
    case Origin::kCopied:
      writer_->write(next.entry.name, source_.view(next.entry.name));
      source_.release(next.entry.name);
      return true;
    case Origin::kDequantized: {
      const auto weight = weights_.linear(*next.linear);
      const tensor::Tensor host = backend_.memory().download(weight->view());
      writer_->write(next.entry.name, narrow(host, next.entry.dtype).view());
      return true;
    }
    case Origin::kRefitted:
    case Origin::kPacked: {
      const auto found = waiting_.find(next.entry.name);
      if (found == waiting_.end()) return false;
      writer_->write(next.entry.name, found->second.view());
      waiting_.erase(found);
      return true;
    }
  }
  return false;
}

}  // namespace whit::pipeline
