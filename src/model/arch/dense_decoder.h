#pragma once

#include <cstdint>
#include <string>

#include "model/arch/architectures.h"
#include "model/arch/attention.h"
#include "model/arch/rope.h"

namespace whit::model::arch {

// A decoder as Llama's is: every layer norms, attends, norms again and runs a gated MLP, all under
// Llama's names. Relatives start from it and change what differs.
struct DenseDecoder {
  AttentionShape attention;
  MlpShape mlp;
  RopeSpec rope;
  float eps = 1e-6F;
};

struct DenseDefaults {
  AttentionDefaults attention;
  double eps = 1e-6;
  double rope_theta = 10000;
};

// hidden_size, intermediate_size, heads, biases (attention_bias, mlp_bias), hidden_act,
// rms_norm_eps and the rotary embedding.
DenseDecoder read_dense_decoder(const Fields& config, const DenseDefaults& defaults = {});

ModelSpec dense_decoder(const Fields& config, std::string architecture, const DenseDecoder& shape);

// Of a layer that dense_decoder made.
GqaSpec& attention_of(LayerSpec& layer);

}  // namespace whit::model::arch
