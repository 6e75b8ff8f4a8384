#pragma once

#include <functional>
#include <memory>

#include "model/forward.h"
#include "pipeline/plan.h"

namespace whit::pipeline {

// Whether the table of token embeddings can aim at the original's first layer: no head reads it, no
// norm or projection stands behind it, and the first layer's MLP is one that model::MlpSlope knows.
bool can_refit_embedding(const model::ModelSpec& spec);

struct EmbeddingRefitArgs {
  const Plan& plan;
  compute::Backend& backend;
  model::WeightSource& source;     // the original weights
  model::WeightSource& quantized;  // those of the first layer as they are written
  std::function<std::unique_ptr<model::ActivationStore>()> make_store;
  // x[rows, hidden] = what the original's first layer makes of the text's tokens from row0 on.
  std::function<void(std::int64_t row0, tensor::MatrixView x)> original;
};

// What the first layer makes of a token depends on little but the token, and so does what it loses
// by quantizing. Moves every row of the table (F32 [vocabulary, hidden] on the device) so that the
// quantized first layer's output comes near the original's: Gauss-Newton through the layer's MLP,
// each token where it stands in the calibration text and among random others of the vocabulary.
// Tokens that the text's sequences begin with stay. The table as it was, where the text would not
// come nearer.
tensor::Tensor refit_embedding(const EmbeddingRefitArgs& args, const model::Sequences& text);

}  // namespace whit::pipeline
