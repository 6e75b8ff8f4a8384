#include "pipeline/step_writer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "pipeline/decode_on.h"
#include "pipeline/output_weights.h"
#include "tensor/rounded.h"

namespace whit::pipeline {

namespace {

// Weights that may wait for the file.
constexpr std::size_t kMostWaiting = 8;

tensor::Tensor narrow(const tensor::Tensor& values, tensor::Dtype dtype) {
  return tensor::make_rounded(
      values.shape(), {values.as<float>(), static_cast<std::size_t>(values.elements())}, dtype);
}

template <typename Value>
void append_value(const Value& value, comm::Bytes& bytes) {
  const auto raw = std::as_bytes(std::span(&value, 1));
  bytes.insert(bytes.end(), raw.begin(), raw.end());
}

template <typename Value>
Value take_value(std::span<const std::byte>& bytes) {
  Value value{};
  base::check(bytes.size() >= sizeof value, "a rank sends whole tensors");
  std::memcpy(&value, bytes.data(), sizeof value);
  bytes = bytes.subspan(sizeof value);
  return value;
}

// Name, dtype, extents and contents, for another rank of this program.
void append_tensor(const std::string& name, const tensor::Tensor& tensor, comm::Bytes& bytes) {
  append_value(std::uint64_t{name.size()}, bytes);
  const auto text = std::as_bytes(std::span(name));
  bytes.insert(bytes.end(), text.begin(), text.end());
  append_value(tensor.dtype(), bytes);
  append_value(std::uint64_t{tensor.shape().size()}, bytes);
  for (const std::int64_t extent : tensor.shape()) append_value(extent, bytes);
  const auto raw = tensor.view().raw();
  bytes.insert(bytes.end(), raw.begin(), raw.end());
}

std::pair<std::string, tensor::Tensor> take_tensor(std::span<const std::byte>& bytes) {
  const auto length = take_value<std::uint64_t>(bytes);
  std::string name(reinterpret_cast<const char*>(bytes.data()), length);
  bytes = bytes.subspan(length);
  const auto dtype = take_value<tensor::Dtype>(bytes);
  tensor::Shape shape(take_value<std::uint64_t>(bytes));
  for (std::int64_t& extent : shape) extent = take_value<std::int64_t>(bytes);
  tensor::Tensor tensor(shape, dtype);
  const auto count = static_cast<std::size_t>(tensor.bytes());
  base::check(bytes.size() >= count, "a rank sends whole tensors");
  std::copy_n(bytes.data(), count, tensor.data());
  bytes = bytes.subspan(count);
  return {std::move(name), std::move(tensor)};
}

}  // namespace

StepWriter::StepWriter(const Plan& plan, std::size_t step, const checkpoint::Checkpoint& source,
                       model::WeightSource& weights, compute::Backend& backend,
                       std::filesystem::path folder, Ranks ranks)
    : format_(plan.bound.recipe.format),
      source_(source),
      weights_(weights),
      backend_(backend),
      folder_(std::move(folder)),
      ranks_(ranks) {
  for (const auto& shard : plan.shards)
    if (shard.step == step) shards_.push_back(&shard);
}

StepWriter::~StepWriter() = default;

void StepWriter::packed(const model::LinearSpec& linear, scheme::QuantizedWeight weight,
                        std::optional<float> input_scale) {
  auto* grouped = std::get_if<scheme::GroupedInt>(&weight);
  if (grouped == nullptr || grouped->codes.device() == tensor::Device{}) {
    settle();
    take(formats::encode_weight(format_, linear.module, weight, input_scale));
    return;
  }
  if (device_is_due_) {
    settle();
    advance();
  }
  if (!background_) background_ = std::make_unique<base::Background>(kMostWaiting);
  background_->post(
      [this, host = host_copy_later(backend_, std::move(*grouped)), module = linear.module,
       input_scale] { take(formats::encode_weight(format_, module, host(), input_scale)); });
}

void StepWriter::settle() {
  if (background_) background_->drain();
  device_is_due_ = false;
}

void StepWriter::take(std::vector<formats::NamedTensor> tensors) {
  for (auto& named : tensors)
    waiting_.insert_or_assign(std::move(named.name), std::move(named.tensor));
  advance();
}

void StepWriter::cache(const model::LayerSpec& layer, float key, float value) {
  settle();
  take(formats::encode_cache(format_, attention_module(layer), caches_latent(layer), key, value));
}

model::WeightHandle StepWriter::refitted(const std::string& name, const tensor::Tensor& values) {
  settle();
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

void StepWriter::exchange() {
  if (!ranks_.several()) return;
  settle();
  comm::Bytes sent;
  if (!ranks_.is_root()) {
    for (const auto& [name, tensor] : waiting_) append_tensor(name, tensor, sent);
    waiting_.clear();
  }
  const auto received = ranks_.communicator().gather_v(0, sent);
  for (const auto& bytes : received)
    for (std::span<const std::byte> rest(bytes); !rest.empty();) {
      auto [name, tensor] = take_tensor(rest);
      waiting_.insert_or_assign(std::move(name), std::move(tensor));
    }
  advance();
}

std::vector<ShardRecord> StepWriter::finish() {
  exchange();
  settle();
  if (!ranks_.is_root()) return {};
  advance();
  base::check(shard_ == shards_.size(), "every tensor of a finished step was written");
  return std::move(records_);
}

void StepWriter::advance() {
  if (!ranks_.is_root()) return;
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
      if (in_background()) {
        device_is_due_ = true;
        return false;
      }
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
