#pragma once

#include <memory>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "compute/backend.h"
#include "model/spec.h"

namespace whit::model {

// A weight on the backend's device, F32 [out, in]; keeps its memory alive.
using WeightHandle = std::shared_ptr<const tensor::Tensor>;

// Where a forward takes its weights from: the source checkpoint, a packed checkpoint, or what the
// quantizer has just produced. Errors: kInput, subject = tensor name.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual WeightHandle linear(const LinearSpec& spec) = 0;
  // The bias of a linear; null where it has none.
  virtual WeightHandle bias(const LinearSpec& spec) = 0;
  virtual WeightHandle vector(const VectorSpec& spec) = 0;
  // The embedding table, in its stored dtype, on the device.
  virtual WeightHandle table(const LinearSpec& spec) = 0;
  // Called when a layer (or a block of experts) is behind: drop what was cached for it.
  virtual void release(int layer) = 0;
};

// Reads the checkpoint as it is on disk: F32, BF16, F16, and DeepSeek's FP8 blocks with
// `weight_scale_inv`, dequantized in fp32. Nothing is cached except norms and tables.
// NaN and infinite weights are refused by name.
std::unique_ptr<WeightSource> make_checkpoint_weights(const checkpoint::Checkpoint& checkpoint,
                                                      compute::Backend& backend);

}  // namespace whit::model
