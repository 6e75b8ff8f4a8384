#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model/arch/fields.h"
#include "model/arch/rope.h"
#include "model/spec.h"

namespace whit::model::arch {

// Multi-head latent attention of DeepSeek-V2 and V3.
struct LatentShape {
  std::int64_t hidden = 0, heads = 0, nope = 0, rope = 0, v = 0, kv_rank = 0;
  std::optional<std::int64_t> q_rank;
  bool bias = false;
};

// hidden_size, heads, ranks, head widths and attention_bias. Errors: kUnsupported where there are
// fewer key heads than heads; kInput where q_lora_rank is absent (null must be said).
LatentShape read_latent(const Fields& config);

MlaSpec latent_attention(const std::string& module, int layer, const LatentShape& shape,
                         const Rope& rope);

}  // namespace whit::model::arch
