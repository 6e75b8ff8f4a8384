#include "runtime/weights.h"

#include <utility>

#include "base/error.h"
#include "formats/format.h"
#include "model/inventory.h"
#include "pipeline/decode_on.h"

namespace whit::runtime {

namespace {

class StoredWeights final : public model::WeightSource {
 public:
  StoredWeights(const checkpoint::Checkpoint& checkpoint, compute::Backend& backend)
      : backend_(backend),
        packed_(checkpoint),
        plain_(model::make_checkpoint_weights(checkpoint, backend)) {}

  model::WeightHandle linear(const model::LinearSpec& spec) override {
    auto weight = packed(spec);
    return weight ? weight : plain_->linear(spec);
  }
  model::WeightHandle bias(const model::LinearSpec& spec) override { return plain_->bias(spec); }
  model::WeightHandle vector(const model::VectorSpec& spec) override {
    return plain_->vector(spec);
  }
  model::WeightHandle table(const model::LinearSpec& spec) override {
    auto weight = packed(spec);
    return weight ? weight : plain_->table(spec);
  }
  void release(int layer) override { plain_->release(layer); }

 private:
  // Null where `spec` is stored unquantized.
  model::WeightHandle packed(const model::LinearSpec& spec) {
    const auto weight = packed_.read(spec.module);
    if (!weight) return nullptr;
    if (scheme::rows_of(*weight) != spec.out_features ||
        scheme::cols_of(*weight) != spec.in_features)
      base::fail(base::ErrorKind::kInput, spec.weight(),
                 "its codes are [{}, {}]; expected [{}, {}]", scheme::rows_of(*weight),
                 scheme::cols_of(*weight), spec.out_features, spec.in_features);
    return std::make_shared<tensor::Tensor>(pipeline::decode_on(backend_, *weight));
  }

  compute::Backend& backend_;
  formats::PackedReader packed_;
  std::unique_ptr<model::WeightSource> plain_;
};

}  // namespace

OpenModel open_model(const fs::path& folder) {
  auto checkpoint = checkpoint::Checkpoint::open(folder);
  auto spec = model::load_spec(checkpoint);
  return {std::move(checkpoint), std::move(spec)};
}

std::unique_ptr<model::WeightSource> make_stored_weights(const checkpoint::Checkpoint& checkpoint,
                                                         compute::Backend& backend) {
  return std::make_unique<StoredWeights>(checkpoint, backend);
}

ResidentWeights::ResidentWeights(std::unique_ptr<model::WeightSource> source,
                                 std::uint64_t budget_bytes)
    : source_(std::move(source)), budget_bytes_(budget_bytes) {}

model::WeightHandle ResidentWeights::keep(const std::string& key, model::WeightHandle handle) {
  if (!handle) return handle;
  const std::uint64_t bytes = handle->bytes();
  if (kept_bytes_ + bytes > budget_bytes_) return handle;
  kept_bytes_ += bytes;
  kept_.emplace(key, handle);
  return handle;
}

model::WeightHandle ResidentWeights::linear(const model::LinearSpec& spec) {
  const std::string key = "linear " + spec.module;
  if (const auto it = kept_.find(key); it != kept_.end()) return it->second;
  return keep(key, source_->linear(spec));
}

model::WeightHandle ResidentWeights::bias(const model::LinearSpec& spec) {
  if (!spec.bias) return source_->bias(spec);
  const std::string key = "bias " + spec.module;
  if (const auto it = kept_.find(key); it != kept_.end()) return it->second;
  return keep(key, source_->bias(spec));
}

model::WeightHandle ResidentWeights::vector(const model::VectorSpec& spec) {
  const std::string key = "vector " + spec.name;
  if (const auto it = kept_.find(key); it != kept_.end()) return it->second;
  return keep(key, source_->vector(spec));
}

model::WeightHandle ResidentWeights::table(const model::LinearSpec& spec) {
  const std::string key = "table " + spec.module;
  if (const auto it = kept_.find(key); it != kept_.end()) return it->second;
  return keep(key, source_->table(spec));
}

void ResidentWeights::release(int layer) {
  source_->release(layer);
}

}  // namespace whit::runtime
