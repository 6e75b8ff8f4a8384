#pragma once

#include <cstdint>

#include "model/arch/dense_decoder.h"

namespace whit::model::arch {

// What Gemma 2 and Gemma 3 share: norms that store w - 1, also of what each half adds; embeddings
// times the square root of their width; tied heads; scores scaled by query_pre_attn_scalar.
// `rope` of the shape is the one of every layer. DEVIATION: the square root is not rounded to the
// checkpoint's dtype, as all activations are fp32.
ModelSpec gemma_decoder(const Fields& config, std::string architecture, const DenseDecoder& shape);

// The fields of a DenseDecoder under Gemma's names, but for its rope.
DenseDecoder read_gemma_shape(const Fields& config);

}  // namespace whit::model::arch
