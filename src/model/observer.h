#pragma once

#include <span>

#include "compute/backend.h"
#include "model/spec.h"
#include "model/stage.h"

namespace whit::model {

// Sees what a forward computes and changes none of it. A forward without one does no work for it.
// Matrices are F32 on the backend's device, and valid during the call. What each function is for is
// ignored unless it is overridden.
class Observer {
 public:
  virtual ~Observer() = default;

  // Whether weight() is to be called for `linear`, and output() for it: weights are loaded and
  // products kept apart from their biases for that.
  virtual bool wants_weight(const LinearSpec& /*linear*/) const { return false; }
  virtual bool wants_output(const LinearSpec& /*linear*/) const { return false; }
  // A linear's weight [out, in], once whenever its stage runs, an expert's also where no token
  // reached it.
  virtual void weight(const LinearSpec& /*linear*/, tensor::ConstMatrixView /*w*/) {}
  // x [T, width]: one piece of the hidden state that a stage's linears read.
  virtual void input(const Stage& /*stage*/, tensor::ConstMatrixView /*x*/) {}
  // y [T, out]: a linear's product of one piece, before its bias.
  virtual void output(const LinearSpec& /*linear*/, tensor::ConstMatrixView /*y*/) {}

  // What one tile of a layer's attention works on, its sequences one below the other: queries and
  // keys rotated, as the product reads them; of keys and values the rows that are new to the cache.
  // args.scale has not been applied. The result is what the output linear's stage reads. `starts`:
  // the rows at which its sequences begin, then their number; empty ones are among them.
  virtual void attention(const LayerSpec& /*layer*/, const compute::AttentionArgs& /*args*/,
                         std::span<const std::int64_t> /*starts*/) {}
  // One tile of what multi-head latent attention caches: [T, kv_rank + rope_dim], the normed latent
  // and the rotated key that all heads share.
  virtual void latent(const LayerSpec& /*layer*/, tensor::ConstMatrixView /*rows*/) {}

  // Whether mixture() is to be called: the routed experts' sum is kept apart for that.
  virtual bool wants_mixture(const LayerSpec& /*layer*/) const { return false; }
  // One tile of what the routed experts add to the stream [T, hidden], the shared one's not with
  // it.
  virtual void mixture(const LayerSpec& /*layer*/, tensor::ConstMatrixView /*y*/) {}

  // Called by who drives the forward at its end: time to bring to the host what gathered on the
  // device.
  virtual void settle() {}
};

}  // namespace whit::model
