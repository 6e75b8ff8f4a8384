#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "comm/communicator.h"
#include "compute/backend.h"
#include "model/activations.h"
#include "model/observer.h"
#include "model/serving.h"
#include "model/spec.h"
#include "model/stage.h"
#include "model/weights.h"
#include "stats/statistic.h"

namespace whit::model {

// Keys and values of the past of one sequence, per layer; rows grow with every forward.
class KvCache {
 public:
  KvCache(compute::Backend& backend, std::size_t layers);
  // Appends rows and returns a view of all of them. `part` 0: keys (or the latent's expansion),
  // 1: values (or the shared rotary key).
  tensor::ConstMatrixView append(std::size_t layer, int part, tensor::ConstMatrixView rows);
  std::int64_t length() const;

 private:
  struct Part {
    tensor::Tensor rows;
    std::int64_t used = 0;
  };
  compute::Backend* backend_;
  std::vector<std::vector<Part>> layers_;
};

// Everything that the block functions need. `cache` is null for whole sequences; with a cache there
// is one sequence and its rows continue the cached past.
struct ForwardContext {
  compute::Backend& backend;
  WeightSource& weights;
  ActivationStore& store;
  const Sequences& sequences;
  StageRunner& runner;
  KvCache* cache = nullptr;
  Observer* observer = nullptr;      // of what lies between the stages
  const Serving* serving = nullptr;  // what the cache rounds; its runner rounds the rest
  // Who share a layer's work: all of them run the same layers (see Shares). Null: this process has
  // all of it.
  comm::Communicator* ranks = nullptr;
  // MLA's queries, keys and values, and the mids of a dense MLP, are computed whenever the linear
  // that ends the half asks for its input, and kept nowhere.
  bool recompute = false;
};

// Whether ForwardContext::recompute spares what lies between the linears of this half.
bool can_recompute(const MlaSpec& attention);
bool can_recompute(const LayerSpec& layer, const MlpSpec& mlp);

// Slot kHidden = embedding of every token.
void forward_embedding(ForwardContext& context, const ModelSpec& spec);
// Slot kHidden advances by one decoder layer.
void forward_layer(ForwardContext& context, const LayerSpec& layer);
// Replaces kHidden (the decoder's output, before the final norm) by the MTP layer's input, then
// runs the layer. The last token of each sequence has no next token and sees its own again.
void forward_mtp_layer(ForwardContext& context, const ModelSpec& spec, const LayerSpec& layer);
// What the head reads of the rows of one tile: F32 [rows, head.in_features] on the device.
tensor::Tensor forward_head_input(ForwardContext& context, const ModelSpec& spec,
                                  std::int64_t first_row, std::int64_t rows);
// The same of an MTP layer that has just run.
tensor::Tensor forward_mtp_head_input(ForwardContext& context, const LayerSpec& layer,
                                      std::int64_t first_row, std::int64_t rows);
// Final norm and head of the rows of one tile: logits F32 [rows, vocabulary] on the device.
tensor::Tensor forward_head(ForwardContext& context, const ModelSpec& spec, std::int64_t first_row,
                            std::int64_t rows);

// Applies linears with the weights of a WeightSource, and passes every hidden state to `tap` where
// there is one, and inputs, weights and outputs to `observer`. Looks nothing up, quantizes nothing.
std::unique_ptr<StageRunner> make_plain_runner(compute::Backend& backend, WeightSource& weights,
                                               stats::Tap* tap = nullptr,
                                               Observer* observer = nullptr);
// The same, with every hidden state rounded as `serving` (null: nothing) says its linears read it.
std::unique_ptr<StageRunner> make_serving_runner(compute::Backend& backend, WeightSource& weights,
                                                 const Serving* serving);

}  // namespace whit::model
