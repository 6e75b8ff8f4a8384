#pragma once

#include "compute/cuda/kernel.cuh"

namespace whit::compute::cuda {

// AttentionArgs as a kernel sees them.
struct Attention {
  Rows<const float> q, k, shared, v, key_bias;  // shared.data, key_bias.data may be null
  Rows<float> out;
  std::int64_t q_col, q_step, k_col, k_step, shared_col, v_col, v_step;
  std::int64_t queries, keys, group;  // query heads a key head
  std::int64_t k_dim, q_dim, v_dim;
  float scale, softcap;
  std::int64_t window;
};

// The same on tensor cores, inputs rounded to BF16. False where heads are too wide for it: nothing
// was done then.
bool attend_bf16(const Context& context, const Attention& a, std::int64_t heads);

}  // namespace whit::compute::cuda
