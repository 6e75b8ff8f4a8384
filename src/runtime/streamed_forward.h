#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "compute/backend.h"
#include "model/activations.h"
#include "model/forward.h"
#include "model/spec.h"
#include "model/weights.h"

namespace whit::runtime {

// One forward of a model over whole sequences, a layer at a time: weights of one layer and hidden
// states of all tokens are in memory. References outlive it.
class StreamedForward {
 public:
  // store: where hidden states lie; null: in memory. serving: what else is rounded; may be null.
  StreamedForward(compute::Backend& backend, const model::ModelSpec& spec,
                  model::WeightSource& weights, const model::Sequences& sequences,
                  std::unique_ptr<model::ActivationStore> store = nullptr,
                  const model::Serving* serving = nullptr);
  ~StreamedForward();

  // Embedding and every layer; `after` is called after each with (done, total).
  void run(const std::function<void(std::int64_t done, std::int64_t total)>& after);
  // Logits F32 [rows, vocabulary] of rows of the finished forward, on the device.
  tensor::Tensor head(std::int64_t first_row, std::int64_t rows);
  // Forgets the decoded head; the next call of `head` decodes it anew.
  void release_head();

 private:
  class HeadKeeper;

  const model::ModelSpec& spec_;
  std::unique_ptr<HeadKeeper> weights_;
  std::unique_ptr<model::ActivationStore> store_;
  std::unique_ptr<model::StageRunner> runner_;
  model::ForwardContext context_;
};

// Rows whose logits are computed at once: about 64 MiB of them, whatever the vocabulary.
std::int64_t head_rows(const model::ModelSpec& spec);

// Bytes that a StreamedForward needs for each token, at most, beside one layer's weights.
std::uint64_t activation_bytes_per_token(const model::ModelSpec& spec);
// Bytes of weights and tile buffers that it needs at once, at most.
std::uint64_t working_bytes(const model::ModelSpec& spec);

}  // namespace whit::runtime
