#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/background.h"
#include "checkpoint/checkpoint.h"
#include "compute/backend.h"
#include "formats/format.h"
#include "formats/weight_format.h"
#include "model/weights.h"
#include "pipeline/journal.h"
#include "pipeline/plan.h"
#include "pipeline/ranks.h"

namespace whit::pipeline {

// Writes the shards of one step in the plan's order, whatever order the weights come in: packed
// ones as the quantizer hands them over, copies and dequantized ones when their turn comes. Of
// several ranks the root writes; the others keep what they are handed until exchange(). What comes
// from a device is packed, hashed and written beside the device's work.
class StepWriter {
 public:
  // `weights` gives the values of dequantized tensors, already rounded to their output dtype.
  StepWriter(const Plan& plan, std::size_t step, const checkpoint::Checkpoint& source,
             model::WeightSource& weights, compute::Backend& backend, std::filesystem::path folder,
             Ranks ranks = Ranks(nullptr));
  ~StepWriter();

  // input_scale: of static activations.
  void packed(const model::LinearSpec& linear, scheme::QuantizedWeight weight,
              std::optional<float> input_scale = std::nullopt);
  // Scales of a layer's KV cache; of a latent `key` alone counts.
  void cache(const model::LayerSpec& layer, float key, float value);
  // values: F32 on the device. Returns them as they will be read: rounded to the output's dtype.
  model::WeightHandle refitted(const std::string& name, const tensor::Tensor& values);
  // The root gets what the others have. Called by all ranks together.
  void exchange();
  // Every shard durable; kBug where a packed tensor never came. No records but on the root.
  std::vector<ShardRecord> finish();

 private:
  // Waits for what is being written.
  void settle();
  void take(std::vector<formats::NamedTensor> tensors);
  tensor::Dtype dtype_of(const std::string& name) const;
  // Writes what is there and due.
  void advance();
  // Whether it was written. The background leaves to the caller what only the device can give.
  bool write_next(const OutputTensor& next);
  bool in_background() const { return std::this_thread::get_id() != caller_; }

  const formats::WeightFormat format_;
  const checkpoint::Checkpoint& source_;
  model::WeightSource& weights_;
  compute::Backend& backend_;
  std::filesystem::path folder_;
  Ranks ranks_;
  std::vector<const OutputShard*> shards_;
  std::size_t shard_ = 0;
  std::size_t tensor_ = 0;
  std::unique_ptr<checkpoint::SafetensorsWriter> writer_;
  std::map<std::string, tensor::Tensor, std::less<>> waiting_;
  std::vector<ShardRecord> records_;
  const std::thread::id caller_ = std::this_thread::get_id();
  std::atomic<bool> device_is_due_ = false;
  std::unique_ptr<base::Background> background_;  // touches all of the above while it works
};

}  // namespace whit::pipeline
