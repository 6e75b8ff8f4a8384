#pragma once

#include <memory>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "model/serving.h"

namespace whit::runtime {

// What of a checkpoint's config is carried out besides its weights.
enum class ServeMode : std::uint8_t {
  kAuto,  // what it says of activations and KV cache; of quant_method "fp8" the weights alone
  kWeightsOnly,  // weights alone
  kFull,         // what it says, whatever the method
};

struct ServedModel {
  std::unique_ptr<model::Serving> serving;  // null: nothing is rounded
  std::vector<std::string> notes;           // what is rounded, or what is not and why
};

// Errors: kInput where a static scale is missing or not positive; kUnsupported under kFull for what
// is not FP8.
ServedModel make_serving(const checkpoint::Checkpoint& checkpoint, const model::ModelSpec& spec,
                         ServeMode mode);

}  // namespace whit::runtime
