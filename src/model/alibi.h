#pragma once

#include "model/blocks.h"

namespace whit::model {

// The biases of a run's keys by head and position, on the device.
class Alibi {
 public:
  // Errors: none; a spec without slopes has no biases.
  Alibi(const LayerRun& run, const AlibiSpec& spec);

  // [heads, longest sequence so far], or no data where there are none.
  tensor::ConstMatrixView key_bias() const;

 private:
  tensor::Tensor table_;
};

}  // namespace whit::model
